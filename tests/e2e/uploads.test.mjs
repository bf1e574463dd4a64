// Bodies on their way to an origin: only the origin's own silence counts, and what can be kept can be sent again.
import assert from "node:assert/strict";
import net from "node:net";
import { after, before as beforeAll, describe, test } from "node:test";
import { eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const ATTEMPT_MS = 500;

let origin, gate;
beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: config(origin.url) });
});

const config = (url, more = "") => `
[origins.default]
url = "${url}"
attempt_timeout = "${ATTEMPT_MS}ms"
total_timeout = "1s"
${more}`;

/** A body in so many pieces over more than twice the time that an attempt may take. */
async function* slowly(pieces = 6) {
    for (let n = 0; n < pieces; n += 1) {
        yield Buffer.from(`piece ${n};`);
        await pause((2.5 * ATTEMPT_MS) / pieces);
    }
}
const WHOLE = Array.from({ length: 6 }, (_, n) => `piece ${n};`).join("");

describe("an upload that takes longer than an attempt may", () => {
    for (const [name, headers] of [["with Content-Length", { "Content-Length": WHOLE.length }], ["chunked", {}]]) {
        test(`arrives whole, ${name}`, async () => {
            const answer = await gate.get("/up", { method: "POST", body: slowly(), headers });
            assert.equal(answer.status, 200, answer.text);
            assert.deepEqual([origin.last().body, origin.last().headers["content-length"]], [WHOLE, headers["Content-Length"]?.toString()]);
        });
    }

    test("is answered 504 where the origin then says nothing", async () => {
        origin.on("/silent", () => {});
        const answer = await gate.get("/silent", { method: "POST", body: slowly() });
        assert.equal(answer.status, 504);
        assert.equal(origin.last().body, WHOLE);
    });

    test("breaks off at the origin, too, where a chunked one ends without its end", async () => {
        const ends = [];
        origin.on("/part", (request, response) => {
            request.on("end", () => ends.push("whole")).on("aborted", () => ends.push("broken")).resume();
            request.on("end", () => response.end());
        });
        const { hostname, port } = new URL(gate.url);
        for (const chunks of [1, 30]) {
            const client = net.connect(port, hostname);
            client.on("error", () => {}).resume();
            client.write("POST /part HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
            for (let n = 0; n < chunks; n += 1) client.write(`4000\r\n${"x".repeat(0x4000)}\r\n`);
            await pause(200);
            client.end();
            await eventually(() => assert.equal(ends.length, 1));
            assert.deepEqual(ends.splice(0), ["broken"], `${chunks} chunks`);
        }
    });

    test("is answered while it lasts where the origin does not want all of it", async () => {
        origin.on("/enough", (_, response) => response.writeHead(413, { "Content-Length": 0 }).end());
        assert.equal((await gate.get("/enough", { method: "POST", body: slowly() })).status, 413);
    });
});

describe("an origin that takes nothing", () => {
    let deaf, own;
    beforeAll(async () => {
        deaf = net.createServer({ pauseOnConnect: true });
        await new Promise((done) => deaf.listen(0, "127.0.0.1", done));
        own = await startGate({ config: config(`http://127.0.0.1:${deaf.address().port}`) });
    });
    after(() => deaf.close());

    test("is waited for no longer than an attempt may take", async () => {
        const answer = await own.get("/up", { method: "POST", body: Buffer.alloc(32 << 20) });
        assert.equal(answer.status, 504);
    });
});

test("a chunked PUT goes to another endpoint, too", async () => {
    const other = await startOrigin({ name: "other" });
    origin.on("/put", { status: 503, body: "down" });
    const two = await startGate({
        config: `
[origins.default]
endpoints = [{ name = "a", url = "${origin.url}" }, { name = "b", url = "${other.url}", priority = 1 }]`,
    });
    const put = async (bytes) => {
        async function* body() {
            for (let left = bytes; left > 0; left -= 1000) yield Buffer.alloc(Math.min(left, 1000), "x");
        }
        return two.get("/put", { method: "PUT", body: body() });
    };
    const long = await put(3_000_000);
    assert.deepEqual([long.status, other.to("/put").length, origin.last().bytes], [503, 0, 3_000_000]);
    assert.deepEqual([(await put(60_000)).status, other.last().bytes], [200, 60_000]);
});
