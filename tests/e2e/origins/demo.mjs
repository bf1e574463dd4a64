// A small site and its API, as somebody's own origin would be: demo.mjs PORT NAME. `make dev` runs two of them.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { deflateSync } from "node:zlib";
import { WebSocketServer } from "ws";

const STARTED = new Date();
const POSTS = [
    { id: 1, title: "The gate opens", body: "Everything goes through it." },
    { id: 2, title: "The tide turns", body: "What was fetched once is served many times." },
    { id: 3, title: "Low water", body: "One origin dries up, the other carries on." },
];

const page = (name) => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Demo site</title><link rel="stylesheet" href="/assets/style-BX7d2kQ1.css">
<h1>Demo site</h1><p>Served by origin ${name}.</p><img src="/images/logo.png" alt="" width="64" height="64">
<ul id="posts"></ul><script type="module" src="/assets/app.3f2a9c1b.js"></script></html>
`;
const SCRIPT = `const posts = await (await fetch("/api/posts")).json();
document.querySelector("#posts").innerHTML = posts.map((post) => \`<li>\${post.title}</li>\`).join("");
`;
const STYLE = `body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 40rem; }\n`;

/** A PNG of one colour. */
function png(size, [red, green, blue]) {
    const row = Buffer.concat([Buffer.of(0), Buffer.concat(Array(size).fill(Buffer.of(red, green, blue)))]);
    const head = Buffer.alloc(13);
    head.writeUInt32BE(size, 0);
    head.writeUInt32BE(size, 4);
    head.set([8, 2, 0, 0, 0], 8);
    const parts = [["IHDR", head], ["IDAT", deflateSync(Buffer.concat(Array(size).fill(row)))], ["IEND", Buffer.alloc(0)]];
    return Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), ...parts.map(([type, data]) => chunk(type, data))]);
}

function chunk(type, data) {
    const body = Buffer.concat([Buffer.from(type), data]);
    let crc = 0xffffffff;
    for (const byte of body) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE((crc ^ 0xffffffff) >>> 0);
    return Buffer.concat([length, body, sum]);
}

function send(request, response, type, body, headers = {}) {
    const bytes = Buffer.from(body);
    const etag = `"${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}"`;
    response.setHeader("ETag", etag);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (request.headers["if-none-match"] === etag) return response.writeHead(304).end();
    response.writeHead(200, { "Content-Type": type, "Content-Length": bytes.length });
    return response.end(request.method === "HEAD" ? undefined : bytes);
}

async function answer(request, response, name) {
    const { pathname } = new URL(request.url, "http://demo");
    response.setHeader("X-Origin", name);
    response.setHeader("Last-Modified", STARTED.toUTCString());
    const json = (value, headers) => send(request, response, "application/json", JSON.stringify(value), headers);
    const post = /^\/api\/posts\/(\d+)$/.exec(pathname);
    if (pathname === "/") return send(request, response, "text/html; charset=utf-8", page(name));
    if (pathname === "/images/logo.png") return send(request, response, "image/png", png(64, [20, 110, 160]));
    if (pathname === "/assets/app.3f2a9c1b.js") return send(request, response, "text/javascript; charset=utf-8", SCRIPT);
    if (pathname === "/assets/style-BX7d2kQ1.css") return send(request, response, "text/css; charset=utf-8", STYLE);
    if (pathname === "/api/posts") return json(POSTS, { "Cache-Control": "public, max-age=60" });
    if (post && POSTS[post[1] - 1]) return json(POSTS[post[1] - 1], { "Cache-Control": "public, max-age=60" });
    if (pathname === "/api/time") return json({ now: new Date().toISOString() }, { "Cache-Control": "no-store" });
    if (pathname === "/api/health") return json({ status: "ok", origin: name }, { "Cache-Control": "no-store" });
    if (pathname === "/api/slow") {
        await new Promise((done) => setTimeout(done, 2000));
        return json({ slow: true }, { "Cache-Control": "no-store" });
    }
    if (pathname === "/api/echo") {
        const chunks = await Array.fromAsync(request);
        response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
        const { method, url, headers } = request;
        return response.end(JSON.stringify({ method, url, headers, body: Buffer.concat(chunks).toString() }));
    }
    if (pathname === "/events") {
        response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
        let count = 0;
        const timer = setInterval(() => response.write(`id: ${(count += 1)}\ndata: ${new Date().toISOString()}\n\n`), 1000);
        return response.on("close", () => clearInterval(timer));
    }
    response.writeHead(404, { "Content-Type": "application/json" });
    return response.end(JSON.stringify({ error: "no such page" }));
}

/** Starts it; resolves when it listens, fails when the port is taken. */
export async function startDemo(port, name) {
    const server = createServer((request, response) => answer(request, response, name));
    const sockets = new WebSocketServer({ server, path: "/ws" });
    sockets.on("connection", (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })));
    sockets.on("error", () => {}); // the server reports it
    await new Promise((done, fail) => server.once("error", fail).listen(port, "127.0.0.1", done));
    return server;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
    const [port, name] = process.argv.slice(2);
    try {
        await startDemo(Number(port), name);
        process.send?.("ready");
    } catch (error) {
        console.error(error.code === "EADDRINUSE" ? `port ${port} is taken; the demo origin ${name} needs it` : error);
        process.exit(1);
    }
    process.on("disconnect", () => process.exit(0));
    process.on("SIGINT", () => {}); // Ctrl-C reaches `make dev` too, which ends this
}
