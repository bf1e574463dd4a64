// What goes through the gate comes out as it went in.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { before as beforeAll, beforeEach, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { WebSocket, WebSocketServer } from "ws";
import { before, pause, send, sendRaw, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const MB = 1 << 20;
const BIG = 20 * MB;
let origin, gate;

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: before(origin.url) });
});
beforeEach(() => origin.clear());

describe("requests", () => {
    for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND"]) {
        test(`${method} arrives as ${method}, with its body`, async () => {
            const body = ["GET", "HEAD"].includes(method) ? undefined : `body of ${method}`;
            const answer = await gate.get("/thing", { method, body, headers: body ? { "Content-Type": "text/plain" } : {} });
            assert.equal(answer.status, 200);
            assert.equal(origin.last().method, method);
            assert.equal(origin.last().body, body ?? "");
            assert.equal(answer.text, method === "HEAD" ? "" : "origin");
        });
    }

    test("a GET with content is answered, though the platform lets no content through with it", async () => {
        const answer = await gate.get("/thing", { body: "of no meaning" });
        assert.equal(answer.status, 200);
        assert.deepEqual([origin.last().method, origin.last().body], ["GET", ""]);
    });

    for (const path of ["/a?x=1&x=2&y=%2F+z", "/a%2Fb?c=%20d+e", "/%C3%A9t%C3%A9", "//double//slash", "/semi;v=1,2", "/trail/?", "/~user/a.b/$@!*'()"]) {
        test(`the path and query ${path} arrive unchanged`, async () => {
            await send(gate.url, { path });
            assert.equal(origin.last().url, path);
        });
    }

    test("end-to-end header fields arrive unchanged", async () => {
        const fields = {
            Accept: "text/html;q=0.9, */*;q=0.1",
            "Accept-Encoding": "gzip, foo;q=0.5",
            "Accept-Language": "de, en;q=0.5",
            Authorization: "Basic dTpw",
            Cookie: "a=1; b=2",
            "If-Match": '"x"',
            Range: "bytes=0-3",
            "User-Agent": "a test/1",
            "X-Custom": "a, b",
        };
        await gate.get("/fields", { headers: fields });
        for (const [name, value] of Object.entries(fields)) assert.equal(origin.last().headers[name.toLowerCase()], value, name);
    });

    test("hop-by-hop fields, and those named in Connection, stay behind", async () => {
        await gate.get("/hop", {
            headers: { Connection: "close, X-Private", "X-Private": "1", TE: "trailers", "Keep-Alive": "timeout=9", "Proxy-Authorization": "Basic x", "Proxy-Connection": "close" },
        });
        for (const name of ["x-private", "te", "keep-alive", "proxy-authorization", "proxy-connection"]) {
            assert.equal(origin.last().headers[name], undefined, name);
        }
    });

    test("the origin learns through whom, for whom and as what a request came", async () => {
        const answer = await gate.get("/who", { headers: { Via: "1.0 fred" } });
        const { headers } = origin.last();
        assert.match(headers.via, /^1\.0 fred, \S+ tidegate$/);
        assert.equal(headers["x-forwarded-for"], "127.0.0.1");
        assert.equal(headers["x-forwarded-proto"], "http");
        assert.equal(headers["x-forwarded-host"], `127.0.0.1:${gate.port}`);
        assert.match(headers.forwarded, /^for="?127\.0\.0\.1"?;proto=http;host="127\.0\.0\.1:\d+"$/);
        assert.equal(headers["cdn-loop"], "tidegate");
        assert.match(headers.traceparent, /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]$/);
        assert.ok(headers["x-request-id"]);
        assert.equal(answer.headers["x-request-id"], headers["x-request-id"]);
        assert.equal(headers.host, `127.0.0.1:${origin.port}`);
    });

    test("a client's trace goes on under its own id", async () => {
        const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        await gate.get("/trace", { headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01`, tracestate: "a=1" } });
        assert.match(origin.last().headers.traceparent, new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
        assert.equal(origin.last().headers.tracestate, "a=1");
    });

    test("what a client says about itself is not believed", async () => {
        const lies = {
            "X-Forwarded-For": "6.6.6.6",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "evil.example",
            Forwarded: "for=6.6.6.6;host=evil.example",
            "X-Real-IP": "6.6.6.6",
            "True-Client-IP": "6.6.6.6",
            "CF-Connecting-IP": "6.6.6.6",
            "CF-IPCountry": "XX",
            "X-RateLimit-Remaining": "999",
            "X-RateLimit-Tier": "enterprise",
            "X-Tidegate-Tier": "enterprise",
        };
        await gate.get("/lies", { headers: lies });
        const { headers } = origin.last();
        for (const lie of new Set(Object.values(lies))) {
            const believed = Object.entries(headers).filter(([, value]) => value === lie || String(value).includes("6.6.6.6"));
            assert.deepEqual(believed, [], lie);
        }
    });

    test("a request that has been here before is a loop", async () => {
        const answer = await gate.get("/loop", { headers: { "CDN-Loop": "other, tidegate" } });
        assert.equal(answer.status, 502);
        assert.match(answer.headers["proxy-status"], /^tidegate; error=proxy_loop_detected/);
        assert.equal(origin.requests.length, 0);
    });

    test("a gate before itself answers 502 and does not spin", async () => {
        const looped = await startGate({ config: before(gate.url) });
        await looped.restart({ config: before(looped.url) });
        const answer = await looped.get("/self");
        assert.equal(answer.status, 502);
        assert.match(answer.headers["proxy-status"], /proxy_loop_detected/);
        await looped.stop();
    });
});

describe("responses", () => {
    test("Set-Cookie come in the order in which they were sent, among many fields, too", async () => {
        const cookies = Array.from({ length: 20 }, (_, n) => `c${n}=${(n * 7) % 20}`);
        origin.on("/cookies", { headers: cookies.flatMap((cookie, n) => ["Set-Cookie", cookie, `X-${(n * 7) % 20}`, "v"]) });
        assert.deepEqual((await gate.get("/cookies")).headers["set-cookie"], cookies);
    });

    test("end-to-end fields come back unchanged, Set-Cookie as often as it was sent", async () => {
        origin.on("/cookies", {
            headers: ["Set-Cookie", "a=1; Path=/", "Set-Cookie", "b=2, c; HttpOnly", "X-Custom", "v", "Cache-Control", "no-store", "Link", "</a>; rel=next", "Date", "Tue, 01 Sep 2026 10:00:00 GMT", "Server", "mine/1"],
            body: "x",
        });
        const { headers } = await gate.get("/cookies");
        assert.deepEqual(headers["set-cookie"], ["a=1; Path=/", "b=2, c; HttpOnly"]);
        assert.equal(headers["x-custom"], "v");
        assert.equal(headers["cache-control"], "no-store");
        assert.equal(headers.link, "</a>; rel=next");
        assert.equal(headers.date, "Tue, 01 Sep 2026 10:00:00 GMT");
        assert.equal(headers.server, "mine/1");
        assert.match(headers.via, /tidegate/);
    });

    test("hop-by-hop fields, and those named in Connection, stay behind", async () => {
        origin.on("/hop-back", { headers: { Connection: "X-Secret", "X-Secret": "1", "Proxy-Authenticate": "Basic", "Cache-Control": "no-store" }, body: "x" });
        const { headers } = await gate.get("/hop-back");
        assert.equal(headers["x-secret"], undefined);
        assert.equal(headers["proxy-authenticate"], undefined);
    });

    test("a redirect is handed back, not followed", async () => {
        origin.on("/from", { status: 302, headers: { Location: "/to" } });
        const answer = await gate.get("/from");
        assert.equal(answer.status, 302);
        assert.equal(answer.headers.location, "/to");
        assert.equal(origin.to("/to").length, 0);
    });

    test("the bytes of a coded body are not touched, accepted or not", async () => {
        const coded = gzipSync("a text that is long enough to be worth it ".repeat(100));
        origin.on("/coded", (_, response) => {
            response.writeHead(200, { "Content-Encoding": "gzip", "Content-Type": "text/plain", "Content-Length": coded.length, "Cache-Control": "no-store" });
            response.end(coded);
        });
        for (const headers of [{ "Accept-Encoding": "gzip" }, { "Accept-Encoding": "br" }, {}]) {
            const answer = await gate.get("/coded", { headers });
            assert.equal(answer.headers["content-encoding"], "gzip");
            assert.ok(answer.bytes.equals(coded), JSON.stringify(headers));
        }
    });

    test("an unknown content coding goes through", async () => {
        origin.on("/strange", { headers: { "Content-Encoding": "x-strange", "Cache-Control": "no-store" }, body: "as it is" });
        const answer = await gate.get("/strange");
        assert.equal(answer.headers["content-encoding"], "x-strange");
        assert.equal(answer.text, "as it is");
    });

    test("HEAD has the head of GET", async () => {
        origin.on("/page", { headers: { "Content-Type": "text/plain", "Content-Length": "5", ETag: '"e"', "Cache-Control": "no-store" }, body: "hello" });
        const answer = await gate.get("/page", { method: "HEAD" });
        assert.equal(answer.status, 200);
        assert.equal(answer.headers["content-type"], "text/plain");
        assert.equal(answer.headers.etag, '"e"');
        assert.equal(answer.headers["content-length"], "5");
        assert.equal(answer.text, "");
    });

    test("a range comes back as a range", async () => {
        origin.on("/part", (request, response) => {
            const partial = request.headers.range === "bytes=2-4";
            response.writeHead(partial ? 206 : 200, { "Content-Range": "bytes 2-4/10", "Cache-Control": "no-store" });
            response.end("234");
        });
        const answer = await gate.get("/part", { headers: { Range: "bytes=2-4" } });
        assert.equal(answer.status, 206);
        assert.equal(answer.headers["content-range"], "bytes 2-4/10");
        assert.equal(answer.text, "234");
    });

    test("an early hint does not take the place of the response", async () => {
        origin.on("/hinted", (_, response) => {
            response.writeEarlyHints({ link: "</a.css>; rel=preload; as=style" });
            setTimeout(() => response.writeHead(200, { "Cache-Control": "no-store" }).end("real"), 50);
        });
        const answer = await gate.get("/hinted");
        assert.equal(answer.status, 200);
        assert.equal(answer.text, "real");
    });

    const statuses = [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 299, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 403, 404, 405,
        406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503,
        504, 505, 506, 507, 508, 510, 511, 599];
    test(`the ${statuses.length} final statuses from 200 to 599 come back as they are`, async () => {
        origin.on("/status", (request, response) => {
            const status = Number(request.url.split("?")[1]);
            response.writeHead(status, { "Cache-Control": "no-store", "X-Status": status }).end([204, 205, 304].includes(status) ? undefined : "body");
        });
        const seen = [];
        for (const status of statuses) {
            const answer = await gate.get(`/status?${status}`);
            seen.push([answer.status, answer.headers["x-status"]]);
        }
        assert.deepEqual(seen, statuses.map((status) => [status, String(status)]));
    });

    for (const [what, bytes] of [
        ["a malformed head", "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\nbody"],
        ["no response at all", ""],
        ["something that is not HTTP", "hello\r\n\r\n"],
    ]) {
        test(`${what} from the origin is a 502 with Proxy-Status`, async () => {
            origin.on("/broken", (request) => request.socket.end(bytes));
            const answer = await gate.get("/broken");
            assert.equal(answer.status, 502);
            assert.match(answer.headers["proxy-status"], /^tidegate; error=/);
            assert.equal(answer.headers["content-type"], "application/problem+json");
        });
    }

    test("a body that breaks off breaks off for the client, too", async () => {
        origin.on("/cut", (_, response) => {
            response.writeHead(200, { "Content-Length": 1000, "Cache-Control": "no-store" });
            response.write("half");
            setTimeout(() => response.destroy(), 50);
        });
        await assert.rejects(gate.get("/cut"));
        assert.equal((await gate.get("/after-cut")).status, 200);
    });
});

describe("bodies are streamed", () => {
    test("20 MB down, with the worker's memory steady", async () => {
        const block = randomBytes(MB);
        const expected = createHash("sha256");
        for (let i = 0; i < BIG / MB; i += 1) expected.update(block);
        const wanted = expected.digest("hex");
        origin.on("/down", async (_, response) => {
            response.writeHead(200, { "Content-Length": BIG, "Content-Type": "application/octet-stream", "Cache-Control": "no-store" });
            for (let i = 0; i < BIG / MB; i += 1) if (!response.write(block)) await new Promise((done) => response.once("drain", done));
            response.end();
        });
        const download = async () => {
            const { response } = await gate.get("/down", { stream: true });
            const hash = createHash("sha256");
            for await (const chunk of response) hash.update(chunk);
            return hash.digest("hex");
        };
        assert.equal(await download(), wanted);
        const atFirst = gate.memory();
        for (let i = 0; i < 5; i += 1) assert.equal(await download(), wanted);
        const grown = (gate.memory() - atFirst) / MB;
        assert.ok(grown < 20, `grew by ${grown.toFixed(1)} MB over 100 MB`);
    });

    test("20 MB up, with the worker's memory steady", async () => {
        const block = randomBytes(MB);
        const blocks = async function* () { for (let i = 0; i < BIG / MB; i += 1) yield block; };
        const upload = (length) => gate.get("/up", { method: "PUT", body: blocks(), headers: length ? { "Content-Length": String(BIG) } : {} });
        await upload(true);
        const atFirst = gate.memory();
        for (const length of [true, false, true, false]) {
            assert.equal((await upload(length)).status, 200);
            assert.equal((await origin.last().ended).bytes, BIG);
        }
        const grown = (gate.memory() - atFirst) / MB;
        assert.ok(grown < 20, `grew by ${grown.toFixed(1)} MB over 80 MB`);
    });

    test("an upload reaches the origin before it has ended", async () => {
        let release;
        const rest = new Promise((done) => { release = done; });
        const halves = async function* () { yield Buffer.from("first "); await rest; yield Buffer.from("second"); };
        const answer = gate.get("/slow-up", { method: "POST", body: halves() });
        const seen = await new Promise((done) => origin.on("/slow-up", (request, response, seen) => {
            request.once("data", () => done(seen));
            request.once("end", () => response.end("thanks"));
        }));
        assert.equal(seen.complete, false);
        release();
        assert.equal((await answer).text, "thanks");
        assert.equal(seen.body, "first second");
    });

    test("server-sent events arrive as they are sent", async () => {
        origin.on("/events", (_, response) => {
            response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
            let count = 0;
            const timer = setInterval(() => {
                response.write(`data: ${Date.now()}\n\n`);
                if ((count += 1) === 4) (clearInterval(timer), response.end());
            }, 250);
        });
        const { response } = await gate.get("/events", { stream: true, headers: { "Accept-Encoding": "gzip" } });
        const delays = [];
        for await (const chunk of response) delays.push(Date.now() - Number(/data: (\d+)/.exec(chunk)[1]));
        assert.equal(delays.length, 4);
        assert.ok(Math.max(...delays) < 200, `delays of ${delays} ms`);
    });

    test("a client that goes away ends the origin's stream", async () => {
        const gone = new Promise((done) => origin.on("/endless", (_, response) => {
            response.writeHead(200, { "Cache-Control": "no-store" });
            const timer = setInterval(() => response.write("x"), 20);
            response.on("close", () => (clearInterval(timer), done(true)));
        }));
        const { response } = await gate.get("/endless", { stream: true });
        response.once("data", () => response.destroy());
        assert.equal(await Promise.race([gone, pause(5000)]), true);
    });
});

describe("WebSockets", () => {
    test("text, bytes and the closing code go through, both ways", async () => {
        const server = new WebSocketServer({ noServer: true, handleProtocols: (protocols) => [...protocols][0] });
        origin.onUpgrade((request, socket, head) => server.handleUpgrade(request, socket, head, (peer) => {
            peer.on("message", (data, isBinary) => (String(data) === "bye" ? peer.close(4001, "done") : peer.send(data, { binary: isBinary })));
        }));
        const socket = new WebSocket(`${gate.url.replace("http", "ws")}/ws?a=1`, ["chat"], { headers: { Cookie: "s=1" } });
        await new Promise((done, fail) => socket.once("open", done).once("error", fail));
        const next = () => new Promise((done) => socket.once("message", (data, isBinary) => done([data, isBinary])));
        assert.equal(socket.protocol, "chat");
        socket.send("hello");
        assert.deepEqual(await next(), [Buffer.from("hello"), false]);
        const bytes = randomBytes(70_000);
        socket.send(bytes);
        assert.deepEqual(await next(), [bytes, true]);
        const closed = new Promise((done) => socket.once("close", (code, reason) => done([code, String(reason)])));
        socket.send("bye");
        assert.deepEqual(await closed, [4001, "done"]);
        const { url, headers } = origin.last();
        assert.equal(url, "/ws?a=1");
        assert.equal(headers.cookie, "s=1");
        assert.match(headers.via, /tidegate/);
    });
});

test("pipelined requests on one connection get their own answers", async () => {
    origin.on("/one", { headers: { "Cache-Control": "no-store" }, body: "first" });
    origin.on("/two", { headers: { "Cache-Control": "no-store" }, body: "second" });
    const text = await sendRaw(gate.url, "GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert.match(text, /first[^]*second/);
});
