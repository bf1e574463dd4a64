// What any proxy has to do that does to both heads what tidegate does, without a config, a limit or a cache.
import origin from "../../../build/config.mjs";

const HOP = new Set(["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"]);
const SPOOFED = /^(x-forwarded-|x-ratelimit-|cf-|x-tidegate-)/;

export default {
    fetch(request) {
        const url = request.url;
        const at = url.indexOf("/", 8);
        const host = url.slice(url.indexOf("//") + 2, at);
        const headers = {};
        request.headers.forEach((value, name) => {
            if (!HOP.has(name) && !SPOOFED.test(name)) headers[name] = value;
        });
        const client = request.cf.clientIp.replace(/:\d+$/, "");
        const id = crypto.randomUUID();
        headers.via = "1.1 js";
        headers["cdn-loop"] = "js";
        headers.forwarded = `for=${client};proto=http;host="${host}"`;
        headers["x-forwarded-for"] = client;
        headers["x-forwarded-proto"] = "http";
        headers["x-forwarded-host"] = host;
        headers.traceparent ??= `00-${id.replaceAll("-", "")}-${id.slice(0, 8)}${id.slice(9, 13)}${id.slice(14, 18)}-01`;
        headers["x-request-id"] = id;
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error("timeout")), 10_000);
            const { method, body } = request;
            fetch(origin + url.slice(at), { method, headers, body, redirect: "manual", encodeResponseBody: "manual" }).then((response) => {
                clearTimeout(timer);
                const encodeBody = response.headers.has("content-encoding") ? "manual" : "automatic";
                const answer = new Response(response.body, { status: response.status, encodeBody });
                response.headers.forEach((value, name) => {
                    if (!HOP.has(name)) answer.headers.append(name, value);
                });
                answer.headers.append("via", "1.1 js");
                answer.headers.append("cache-status", "js; fwd=bypass");
                answer.headers.set("x-request-id", id);
                resolve(answer);
            }, reject);
        });
    },
};
