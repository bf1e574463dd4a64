// A proxy before a real origin that hands its answers on as no origin should: reset, cut off, too slow, or no HTTP.
import net from "node:net";
import { stopLater } from "../harness.mjs";

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Whole when the head and as much as its Content-Length says are there. */
function message(received) {
    const end = received.indexOf("\r\n\r\n");
    if (end < 0) return null;
    const head = received.subarray(0, end + 4);
    const length = Number(/^content-length: *(\d+)/im.exec(head.toString("latin1"))?.[1] ?? 0);
    const bytes = end + 4 + length;
    return received.length < bytes ? null : { head, body: received.subarray(end + 4, bytes), bytes };
}

async function drip(socket, bytes, pieces, ms) {
    const size = Math.ceil(bytes.length / pieces);
    for (let at = 0; at < bytes.length && !socket.destroyed; at += size) {
        socket.write(bytes.subarray(at, at + size));
        await pause(ms);
    }
}

const half = (bytes) => bytes.subarray(0, Math.floor(bytes.length / 2));
const length = (head, change) => Buffer.from(head.toString("latin1").replace(/^(content-length: *)(\d+)/im, (_, name, bytes) => name + change(Number(bytes))), "latin1");
const instead = (text) => (socket) => socket.write(text, "latin1");
const junk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHACK!";

/** Each gets the connection, and the origin's head and body. */
export const FAULTS = {
    "reset before the head": (socket) => socket.resetAndDestroy(),
    "closed before the head": (socket) => socket.end(),
    "silent": () => {},
    "reset in the head": async (socket, head) => (socket.write(half(head)), await pause(30), socket.resetAndDestroy()),
    "closed in the head": (socket, head) => socket.end(half(head)),
    "slow head": (socket, head, body) => drip(socket, Buffer.concat([head, body]), 40, 100),
    "garbage": instead("\x00\x01\x02 this is not HTTP\r\n\r\n"),
    "no status line": instead("Content-Length: 2\r\n\r\nok"),
    "two lengths": (socket, head, body) => socket.write(Buffer.concat([length(head, (bytes) => `${bytes}\r\nContent-Length: ${bytes + 1}`), body])),
    "endless head": async (socket) => {
        socket.write("HTTP/1.1 200 OK\r\n");
        for (let n = 0; n < 4000 && !socket.destroyed; n += 1) if (!socket.write(`X-${n}: ${"x".repeat(1000)}\r\n`)) await pause(1);
    },
    "reset in the body": async (socket, head, body) => (socket.write(head), socket.write(half(body)), await pause(50), socket.resetAndDestroy()),
    "half-closed in the body": (socket, head, body) => socket.end(Buffer.concat([head, half(body)])),
    "chunks without an end": (socket, head, body) => socket.end(Buffer.concat([Buffer.from(head.toString("latin1").replace(/^content-length.*$/im, "Transfer-Encoding: chunked"), "latin1"), Buffer.from(`${half(body).length.toString(16)}\r\n`), half(body), Buffer.from("\r\n")])),
    "stopped in the body": (socket, head, body) => (socket.write(head), socket.write(half(body))),
    "slow body": async (socket, head, body) => (socket.write(head), await drip(socket, body, 8, 100)),
    "length too long": (socket, head, body) => socket.end(Buffer.concat([length(head, (bytes) => bytes + 10), body])),
    "length too short": (socket, head, body) => socket.write(Buffer.concat([length(head, (bytes) => bytes - 2), body])),
    "more than one answer": (socket, head, body) => socket.write(Buffer.concat([head, body, Buffer.from(junk)])),
};

/** Starts one before `target`, an origin of this machine. `fault`: one of `FAULTS`, "resets at once", or null for none. */
export async function startFaults(target) {
    const open = new Set();
    const proxy = { fault: null };
    const server = net.createServer((socket) => {
        open.add(socket);
        socket.on("close", () => open.delete(socket));
        socket.on("error", () => {});
        socket.setNoDelay(true);
        if (proxy.fault === "resets at once") return void socket.resetAndDestroy();
        let received = Buffer.alloc(0);
        const upstream = net.connect(Number(new URL(target).port), "127.0.0.1");
        open.add(upstream);
        upstream.on("error", () => socket.destroy());
        upstream.on("close", () => open.delete(upstream));
        socket.on("data", (chunk) => upstream.write(chunk));
        socket.on("close", () => upstream.destroy());
        upstream.on("data", (chunk) => {
            received = Buffer.concat([received, chunk]);
            for (let whole = message(received); whole; whole = message(received)) {
                received = received.subarray(whole.bytes);
                const { head, body } = whole;
                if (proxy.fault === null) socket.write(Buffer.concat([head, body]));
                else Promise.resolve(FAULTS[proxy.fault](socket, head, body)).catch(() => {});
            }
        });
    });
    const listen = (port) => new Promise((done) => server.listen(port, "127.0.0.1", done));
    await listen(0);
    const { port } = server.address();
    const drop = () => open.forEach((socket) => socket.destroy());
    proxy.url = `http://127.0.0.1:${port}`;
    /** Nobody listens any more; and listens again. */
    proxy.refuse = () => (drop(), new Promise((done) => server.close(done)));
    proxy.listen = () => (server.listening ? undefined : listen(port));
    /** What is open and idle is closed by the origin, as it does after a while. */
    proxy.drop = drop;
    proxy.stop = () => (server.listening ? proxy.refuse() : undefined);
    return stopLater(proxy);
}
