// The queue before an origin that takes few requests at once, in its Durable Object.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before as beforeAll, describe, test } from "node:test";
import { eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const ANSWER_MS = 300;

/** A backend that counts how many requests it has at once, from the first byte of each to the last of its response. */
function backend(origin) {
    const seen = { now: 0, most: 0, order: [] };
    origin.on("/ai", (request, response) => {
        seen.now += 1;
        seen.most = Math.max(seen.most, seen.now);
        seen.order.push(request.headers["x-who"]);
        response.on("close", () => { seen.now -= 1; });
        response.writeHead(200, { "Content-Type": "text/plain" });
        response.write("first ");
        setTimeout(() => response.end("last"), ANSWER_MS);
    });
    return seen;
}

const config = (url, keys) => `
[origins.default]
url = "${url}"
[identity.api_keys]
enabled = true
[limits.queues.ai]
${keys}
[[routes]]
name = "ai"
match = { path = "/ai" }
queue = "ai"
`;

describe("a queue", () => {
    let origin, seen, gate;
    beforeAll(async () => { origin = await startOrigin(); });
    after(() => origin.stop());
    const start = async (keys) => {
        await gate?.stop();
        seen = backend(origin);
        gate = await startGate({ config: config(origin.url, keys) });
    };
    const ask = (who, headers = {}) => gate.get("/ai", { method: "POST", body: "{}", headers: { "x-who": who, ...headers } });

    test("keeps the origin full and never fuller, bodies included", async () => {
        await start("max_concurrent = 3");
        const answers = await Promise.all(Array.from({ length: 15 }, (_, n) => ask(`${n}`)));
        for (const { status, text } of answers) assert.deepEqual([status, text], [200, "first last"]);
        assert.equal(seen.most, 3);
        const told = answers.map(({ headers }) => Number(headers["x-queue-position"])).sort((a, b) => a - b);
        assert.deepEqual(told, [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert.ok(answers.some(({ headers }) => Number(headers["x-queue-wait"]) > 0));
    });

    test("goes by tier", async () => {
        await start(`max_concurrent = 1\npriority = ["pro"]`);
        const { createHash } = await import("node:crypto");
        const hash = createHash("sha256").update("secret").digest("hex");
        await (await gate.kv()).put(`key:${hash}`, JSON.stringify({ subject: "me", tier: "pro" }));
        const first = ask("first");
        await eventually(async () => assert.deepEqual(seen.order, ["first"]));
        const others = [ask("anonymous")];
        await pause(50);
        others.push(ask("pro", { "X-API-Key": "secret" }));
        await Promise.all([first, ...others]);
        assert.deepEqual(seen.order, ["first", "pro", "anonymous"]);
    });

    test("that is full says when to come back", async () => {
        await start("max_concurrent = 1\nmax_length = 1");
        const two = [ask("a"), ask("b")];
        await eventually(async () => assert.equal(seen.now, 1));
        await pause(50);
        const refused = await ask("c");
        assert.equal(refused.status, 503);
        assert.match(refused.headers["retry-after"], /^[12]$/);
        assert.equal(refused.headers["x-queue-position"], "1");
        assert.match(refused.headers["proxy-status"], /error=connection_limit_reached; details="queue full"/);
        for (const { status } of await Promise.all(two)) assert.equal(status, 200);
        assert.deepEqual(seen.order, ["a", "b"]);
    });

    test("forgets a client that goes away", async () => {
        await start("max_concurrent = 1");
        let gone = null;
        origin.on("/ai", (request, response) => {
            seen.order.push(request.headers["x-who"]);
            if (request.headers["x-who"] !== "long") return response.end("done");
            gone = new Promise((done) => response.on("close", done));
            return response.write("for ever ");
        });
        const long = http.request(`${gate.url}/ai`, { method: "POST", agent: false, headers: { "x-who": "long" } });
        long.on("error", () => {});
        long.end();
        await eventually(async () => assert.deepEqual(seen.order, ["long"]));
        const next = ask("next");
        await pause(200);
        long.socket.resetAndDestroy();
        const { status, ms } = await next;
        assert.equal(status, 200);
        assert.ok(ms < 20_000, `${ms} ms`);
        await gone;
    });

    test("survives the eviction of its object with its places", async () => {
        await start("max_concurrent = 1\nmax_wait = \"300ms\"");
        const first = ask("first");
        await eventually(async () => assert.equal(seen.now, 1));
        await gate.evict("Queue", "queue:ai");
        const second = await gate.get("/ai", { method: "POST", body: "{}", headers: { "x-who": "second" } });
        assert.ok(seen.most === 1, `${seen.most} at once`);
        assert.ok([200, 503].includes(second.status));
        assert.equal((await first).status, 200);
    });
});
