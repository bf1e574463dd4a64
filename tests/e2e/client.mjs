// An HTTP client that shows what is on the wire: nothing is added, followed, decoded or joined.
import http from "node:http";
import net from "node:net";

const SILENCE_MS = 10_000;

/**
 * Sends one request on a connection of its own.
 *
 * @param {string} url
 * @param {object} [options]
 * @param {string} [options.method]
 * @param {Record<string, string | string[]>} [options.headers]
 * @param {Buffer | string | AsyncIterable<Buffer>} [options.body] an iterable is sent chunked, or by its Content-Length
 * @param {string} [options.from] the loopback address to come from, such as 127.0.0.7: another client
 * @param {string} [options.path] the request target as it is to stand on the wire
 * @param {boolean} [options.stream] resolve with the head; `response` is the readable body
 */
export function send(url, { method = "GET", headers = {}, body, from, path, stream = false } = {}) {
    const { hostname, port, pathname, search } = new URL(url);
    const length = body !== undefined && !body[Symbol.asyncIterator] ? { "Content-Length": Buffer.byteLength(body) } : {};
    const started = performance.now();
    return new Promise((done, fail) => {
        const request = http.request({
            hostname,
            port,
            method,
            path: path ?? pathname + search,
            headers: { ...length, ...headers },
            localAddress: from,
            agent: false,
            timeout: SILENCE_MS,
        });
        request.on("timeout", () => request.destroy(new Error(`nothing came for ${SILENCE_MS} ms`)));
        request.on("error", fail);
        const answered = async (response) => {
            const answer = {
                status: response.statusCode,
                headers: response.headers,
                rawHeaders: response.rawHeaders,
                response,
                headMs: performance.now() - started,
            };
            if (stream) return done(answer);
            try {
                const bytes = Buffer.concat(await Array.fromAsync(response));
                done({ ...answer, bytes, text: bytes.toString(), json: () => JSON.parse(bytes), ms: performance.now() - started });
            } catch (error) {
                fail(error);
            }
        };
        request.on("response", answered);
        request.on("upgrade", (response, socket) => (socket.destroy(), done({ status: response.statusCode, headers: response.headers })));
        if (body?.[Symbol.asyncIterator]) {
            (async () => {
                for await (const chunk of body) if (!request.write(chunk)) await new Promise((drained) => request.once("drain", drained));
                request.end();
            })().catch(fail);
        } else {
            request.end(body);
        }
    });
}

/** Sends bytes as they are; resolves with all that comes back until the other side closes. */
export function sendRaw(url, text) {
    const { hostname, port } = new URL(url);
    return new Promise((done, fail) => {
        const socket = net.connect(port, hostname, () => socket.write(text));
        const chunks = [];
        socket.on("data", (chunk) => chunks.push(chunk));
        socket.on("close", () => done(Buffer.concat(chunks).toString("latin1")));
        socket.on("error", fail);
    });
}

/** Asks again until `check` does not throw, for what happens in the background. */
export async function eventually(check, withinMs = 5000) {
    const deadline = performance.now() + withinMs;
    for (;;) {
        try {
            return await check();
        } catch (error) {
            if (performance.now() > deadline) throw error;
            await pause(50);
        }
    }
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));
