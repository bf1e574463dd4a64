// WebSockets with limits, and streams of events, over endpoints that fail.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { before as beforeAll, describe, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { eventually, startGate, stopLater } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const ROUTES = `
[[routes]]
name = "chat"
match = { path = "/chat/**" }
[routes.websocket]
connections = { anonymous = 2, pro = 50 }
messages = { anonymous = "5/2s" }
[[routes]]
name = "rest"
`;

let a, b, gate;

/** An origin whose sockets say who they are, and echo; "bye" has them close with 4001. */
async function startChat(name) {
    const origin = await startOrigin({ name });
    const server = new WebSocketServer({ noServer: true });
    const chat = { origin, peers: new Set(), closed: [] };
    origin.onUpgrade((request, socket, head) => server.handleUpgrade(request, socket, head, (peer) => {
        chat.peers.add(peer);
        peer.on("close", (code, reason) => (chat.peers.delete(peer), chat.closed.push([code, String(reason)])));
        peer.on("message", (data, isBinary) => (String(data) === "bye" ? peer.close(4001, "done") : peer.send(data, { binary: isBinary })));
        peer.send(name);
    }));
    /** The origin goes, and with it what it has open: a server waits for that. */
    chat.kill = () => (chat.peers.forEach((peer) => peer.terminate()), origin.kill());
    stopLater({ stop: () => chat.peers.forEach((peer) => peer.terminate()) });
    return chat;
}

beforeAll(async () => {
    [a, b] = [await startChat("a"), await startChat("b")];
    const endpoints = [a, b].map(({ origin }, priority) => `[[origins.default.endpoints]]\nname = "${"ab"[priority]}"\nurl = "${origin.url}"\npriority = ${priority}\n`).join("");
    gate = await startGate({ config: `${endpoints}\n${ROUTES}` });
    const hash = createHash("sha256").update("of a pro").digest("hex");
    await (await gate.kv()).put(`key:${hash}`, JSON.stringify({ tier: "pro", subject: "p1" }));
});

/** Opens a socket; resolves with it, or with the status of a refusal. */
function connect(path, { from, key } = {}) {
    const socket = new WebSocket(`${gate.url.replace("http", "ws")}${path}`, { localAddress: from, headers: key && { "X-API-Key": key } });
    const received = [];
    socket.on("message", (data, isBinary) => received.push([data, isBinary]));
    socket.closed = new Promise((done) => socket.once("close", (code, reason) => done([code, String(reason)])));
    return new Promise((done, fail) => {
        socket.once("open", () => done({ socket, received }));
        socket.once("unexpected-response", (_, response) => done({ status: response.statusCode, headers: response.headers }));
        socket.once("error", fail);
    });
}
const greeting = (opened) => eventually(() => assert.ok(opened.received.length > 0)).then(() => String(opened.received[0][0]));

describe("an upgrade", () => {
    test("goes to another endpoint where the first refuses it or is gone, before the client is answered", async () => {
        assert.equal(await greeting(await connect("/free", {})), "a");
        const upgrades = a.origin.server.listeners("upgrade");
        a.origin.server.removeAllListeners("upgrade");
        a.origin.server.on("upgrade", (_, socket) => socket.end("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"));
        assert.equal(await greeting(await connect("/free", {})), "b");
        a.origin.server.removeAllListeners("upgrade");
        upgrades.forEach((listener) => a.origin.server.on("upgrade", listener));
        await a.kill();
        for (const path of ["/free", "/chat/1"]) {
            const opened = await connect(path, { from: "127.0.0.3" });
            assert.equal(await greeting(opened), "b");
            opened.socket.close();
        }
        await a.origin.revive();
    });

    test("of one client does not wait for that of another", async () => {
        const opened = await Promise.all(Array.from({ length: 5 }, () => connect("/free/same")));
        for (const one of opened) {
            await greeting(one);
            one.socket.close();
        }
    });
});

describe("a route with limits", () => {
    test("carries text, bytes and closing codes both ways", async () => {
        const { socket, received } = await connect("/chat/2", { from: "127.0.0.4" });
        const bytes = randomBytes(20);
        socket.send("déjà vu");
        socket.send(bytes);
        await eventually(() => assert.equal(received.length, 3));
        assert.deepEqual(received.slice(1), [[Buffer.from("déjà vu"), false], [bytes, true]]);
        socket.send("bye");
        assert.deepEqual(await socket.closed, [4001, "done"]);
        const other = await connect("/chat/2", { from: "127.0.0.4" });
        const served = await greeting(other) === "a" ? a : b;
        other.socket.close(4007, "enough");
        await eventually(() => assert.deepEqual(served.closed.at(-1), [4007, "enough"]));
    });

    test("tells one end that the other broke, and hands on a closing without a code as one", async () => {
        const from = "127.0.0.14";
        const one = await connect("/chat/broken", { from });
        const served = (await greeting(one)) === "a" ? a : b;
        served.peers.forEach((peer) => peer.terminate());
        assert.deepEqual(await one.socket.closed, [1011, "the connection broke"]);
        for (const [leave, expected] of [["terminate", [1011, "the connection broke"]], ["close", [1005, ""]]]) {
            const other = await connect("/chat/broken", { from });
            const there = (await greeting(other)) === "a" ? a : b;
            there.closed.length = 0;
            other.socket[leave]();
            await eventually(() => assert.deepEqual(there.closed, [expected], leave));
        }
    });

    test("closes where one end does not take what comes, and holds little of it", async () => {
        const opened = await connect("/chat/deaf", { from: "127.0.0.15", key: "of a pro" });
        const served = (await greeting(opened)) === "a" ? a : b;
        served.peers.forEach((peer) => peer.pause());
        const before = gate.memory();
        const piece = Buffer.alloc(1 << 20);
        for (let n = 0; n < 200 && opened.socket.readyState === WebSocket.OPEN; n += 1) await new Promise((sent) => opened.socket.send(piece, sent));
        assert.deepEqual(await opened.socket.closed, [1013, "what comes is not taken"]);
        assert.ok(gate.memory() - before < 150 << 20, `${(gate.memory() - before) >> 20} MiB more`);
        served.peers.forEach((peer) => peer.terminate());
    });

    test("refuses one connection too many, and has room again when one is closed", async () => {
        const from = "127.0.0.5";
        const [one] = [await connect("/chat/3", { from }), await connect("/chat/3", { from })];
        const refused = await connect("/chat/3", { from });
        assert.equal(refused.status, 429);
        assert.match(refused.headers["proxy-status"], /connection_limit_reached/);
        assert.equal((await connect("/chat/3", { from: "127.0.0.6" })).status, undefined, "another client has its own");
        for (let n = 0; n < 5; n += 1) assert.equal((await connect("/chat/3", { from, key: "of a pro" })).status, undefined, "another tier, another limit");
        one.socket.close();
        await eventually(async () => assert.equal((await connect("/chat/3", { from })).status, undefined));
    });

    test("gives back the place of an upgrade that comes to nothing", async () => {
        const from = "127.0.0.8";
        const listeners = [a, b].map(({ origin }) => origin.server.listeners("upgrade"));
        for (const { origin } of [a, b]) {
            origin.server.removeAllListeners("upgrade");
            origin.server.on("upgrade", (_, socket) => socket.end("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"));
        }
        for (let n = 0; n < 5; n += 1) await eventually(async () => assert.equal((await connect("/chat/4", { from })).status, 403));
        [a, b].forEach(({ origin }, n) => (origin.server.removeAllListeners("upgrade"), listeners[n].forEach((listener) => origin.server.on("upgrade", listener))));
        const bad = await gate.get("/chat/4", { from, headers: { Connection: "Upgrade", Upgrade: "websocket" } });
        assert.equal(bad.status, 426, "what is no handshake takes no place");
        for (let n = 0; n < 2; n += 1) await eventually(async () => assert.equal((await connect("/chat/4", { from })).status, undefined));
        assert.equal((await connect("/chat/4", { from })).status, 429);
    });

    test("closes a connection that says too much, at both ends", async () => {
        const { socket, received } = await connect("/chat/5", { from: "127.0.0.9" });
        const served = await greeting({ received }) === "a" ? a : b;
        for (let n = 0; n < 9; n += 1) socket.send(`${n}`);
        assert.deepEqual(await socket.closed, [1008, "too many messages"]);
        await eventually(() => assert.deepEqual(served.closed.at(-1), [1008, "too many messages"]));
        const pro = await connect("/chat/5", { key: "of a pro" });
        for (let n = 0; n < 50; n += 1) pro.socket.send(`${n}`);
        await eventually(() => assert.equal(pro.received.length, 51));
    });
});

test("a stream of events goes on at another endpoint, after the event that its client has seen last", async () => {
    const events = (name) => (request, response) => {
        response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
        let id = Number(request.headers["last-event-id"] ?? 0);
        const timer = setInterval(() => response.write(`id: ${(id += 1)}\ndata: ${name}\n\n`), 20);
        response.on("close", () => clearInterval(timer));
    };
    a.origin.on("/events", events("a"));
    b.origin.on("/events", events("b"));
    const seen = [];
    /** As an EventSource does: reads until the stream breaks, then asks again with the last id. */
    const read = async (until) => {
        const last = seen.at(-1)?.id;
        const { response } = await gate.get("/events", { stream: true, headers: { Accept: "text/event-stream", ...(last && { "Last-Event-ID": String(last) }) } });
        let text = "";
        try {
            for await (const chunk of response) {
                text += chunk;
                for (let at; (at = text.indexOf("\n\n")) >= 0; text = text.slice(at + 2)) {
                    const [, id, by] = /^id: (\d+)\ndata: (.)$/.exec(text.slice(0, at));
                    seen.push({ id: Number(id), by });
                }
                if (seen.length >= until) break;
            }
        } catch {
            // It broke.
        }
    };
    const first = read(1000);
    await eventually(() => assert.ok(seen.length >= 5));
    await a.kill();
    await first;
    const before = seen.length;
    await read(before + 5);
    assert.deepEqual(seen.map(({ id }) => id), seen.map((_, n) => n + 1), "none is lost, none comes twice");
    assert.deepEqual([...new Set(seen.slice(0, before).map(({ by }) => by))], ["a"]);
    assert.deepEqual([...new Set(seen.slice(before).map(({ by }) => by))], ["b"]);
    await a.origin.revive();
});

test("when the gate restarts, both ends of a limited socket are told so", async () => {
    const { socket, received } = await connect("/chat/6", { from: "127.0.0.10" });
    const served = await greeting({ received }) === "a" ? a : b;
    await gate.restart();
    assert.deepEqual(await socket.closed, [1012, "the gateway restarts"]);
    await eventually(() => assert.ok(served.closed.some(([code]) => code === 1012), JSON.stringify(served.closed)));
});
