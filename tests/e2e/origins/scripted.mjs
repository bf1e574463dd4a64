// An origin that sends what it is told byte by byte, also what no HTTP server would: one reply at a time for each host
// that a gate forwards for.
import net from "node:net";
import { stopLater } from "../harness.mjs";

/** Statuses whose responses have no content. */
const isBodiless = (status) => status < 200 || status === 204 || status === 205 || status === 304;

/** The bytes of a reply to a request with this method; `raw` has them as they are. */
function bytes({ raw, status, fields, body, with_length: withLength, breaks }, method) {
    if (raw !== undefined) return raw;
    const has = (name) => fields.some(([other]) => other.toLowerCase() === name);
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
    const content = isBodiless(status) || method === "HEAD" ? "" : body;
    if (!isBodiless(status) && !has("content-length")) {
        lines.push(withLength ? `Content-Length: ${Buffer.byteLength(body)}\r\n` : "Transfer-Encoding: chunked\r\n");
    }
    const head = `HTTP/1.1 ${status} As Told\r\n${lines.join("")}\r\n`;
    const sent = breaks ? content.slice(0, content.length / 2) : content;
    if (withLength || content === "") return head + sent;
    return `${head}${Buffer.byteLength(sent).toString(16)}\r\n${sent}\r\n${breaks ? "" : "0\r\n\r\n"}`;
}

/** A request of which all bytes are there: its head, and how long it is. */
function parse(received) {
    const end = received.indexOf("\r\n\r\n");
    if (end < 0) return null;
    const [first, ...lines] = received.subarray(0, end).toString("latin1").split("\r\n");
    const fields = lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]);
    const values = (name) => fields.filter(([other]) => other === name).map(([, value]) => value);
    const length = Number(values("content-length")[0] ?? 0);
    const chunked = values("transfer-encoding").length > 0;
    const close = chunked ? received.indexOf("0\r\n\r\n", end + 4) : end + 4 + length;
    const complete = chunked ? close >= 0 : received.length >= close;
    const [method, target] = first.split(" ");
    const field = (name) => (values(name).length > 0 ? values(name).join(", ") : null);
    return complete ? { method, target, fields, field, bytes: chunked ? close + 5 : close } : null;
}

/** Starts one. `told` maps hosts to replies; `requests` lists what came. */
export async function startScripted() {
    const told = new Map();
    const requests = [];
    const server = net.createServer((socket) => {
        let received = Buffer.alloc(0);
        socket.setNoDelay(true);
        socket.on("error", () => {});
        socket.on("data", (chunk) => {
            received = Buffer.concat([received, chunk]);
            for (let request = parse(received); request !== null; request = parse(received)) {
                received = received.subarray(request.bytes);
                const host = request.field("x-forwarded-host");
                requests.push({ ...request, host });
                const reply = told.get(host) ?? { status: 599, fields: [], body: "nobody expected this", with_length: true };
                if (reply.status === null) return socket.destroy();
                const text = bytes(reply, request.method);
                const deliver = () => (reply.breaks || reply.ends ? socket.end(text, "latin1") : socket.write(text, "latin1"));
                if (reply.after === undefined) deliver();
                else setTimeout(deliver, reply.after);
            }
        });
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const sockets = new Set();
    server.on("connection", (socket) => (sockets.add(socket), socket.on("close", () => sockets.delete(socket))));
    return stopLater({
        url: `http://127.0.0.1:${server.address().port}`,
        told,
        requests,
        async stop() {
            for (const socket of sockets) socket.destroy();
            await new Promise((done) => server.close(done));
        },
    });
}
