// An origin on loopback that records every request as it came and answers as it is told.
import http from "node:http";
import { stopLater } from "./harness.mjs";

/** The largest body that is kept; of a longer one only the length is known. */
const KEPT_BYTES = 1 << 20;

/**
 * Starts a recording origin. Without a rule it answers 200 "origin", `Cache-Control: no-store`.
 *
 * `on(path, rule)`: a rule is `{status, headers, body}` (headers may be a flat array of pairs, so that a name can come
 * twice), or a function `(request, response, seen) => void`; the path is compared without its query.
 */
export async function startOrigin({ name = "origin" } = {}) {
    const rules = new Map();
    const requests = [];
    let fallback = { headers: { "Cache-Control": "no-store" }, body: name };

    const record = (request) => {
        const { method, url, headers, rawHeaders } = request;
        const seen = { method, url, headers, rawHeaders, bytes: 0, body: "", complete: false };
        const chunks = [];
        request.on("data", (chunk) => {
            seen.bytes += chunk.length;
            if (seen.bytes <= KEPT_BYTES) chunks.push(chunk);
        });
        seen.ended = new Promise((done) => {
            request.on("end", () => {
                seen.body = Buffer.concat(chunks).toString();
                seen.complete = true;
                done(seen);
            });
        });
        requests.push(seen);
        return seen;
    };
    const handle = async (request, response) => {
        const seen = record(request);
        const rule = rules.get(request.url.split("?")[0]) ?? fallback;
        if (typeof rule === "function") return rule(request, response, seen);
        await seen.ended;
        const { status = 200, headers = {}, body = "" } = rule;
        response.writeHead(status, Array.isArray(headers) ? headers : { "Content-Length": Buffer.byteLength(body), ...headers });
        return response.end(request.method === "HEAD" ? undefined : body);
    };
    const server = http.createServer({ requireHostHeader: false }, handle);
    const upgrades = [];
    server.on("upgrade", (request, socket, head) => {
        requests.push({ method: request.method, url: request.url, headers: request.headers, rawHeaders: request.rawHeaders });
        for (const upgrade of upgrades) upgrade(request, socket, head);
        if (upgrades.length === 0) socket.destroy();
    });
    const listen = (port) => new Promise((done, fail) => server.once("error", fail).listen(port, "127.0.0.1", done));
    await listen(0);
    const { port } = server.address();

    const origin = {
        url: `http://127.0.0.1:${port}`,
        port,
        server,
        requests,
        /** The requests for one path. */
        to: (path) => requests.filter(({ url }) => url.split("?")[0] === path),
        last: () => requests.at(-1),
        on: (path, rule) => void rules.set(path, rule),
        otherwise: (rule) => void (fallback = rule),
        onUpgrade: (upgrade) => void upgrades.push(upgrade),
        clear: () => void (requests.length = 0),
        /** From now on, connections are refused; those that are open break. */
        async kill() {
            if (!server.listening) return;
            const closed = new Promise((done) => server.close(done));
            server.closeAllConnections();
            await closed;
        },
        revive: () => listen(port),
        stop: () => origin.kill(),
    };
    return stopLater(origin);
}
