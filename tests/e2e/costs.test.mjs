// What a request costs, and what does not count, in workerd.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { before, eventually, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, gate;
const route = (name, more) => `[[routes]]\nname = "${name}"\nmatch = { path = "/${name}/*" }\nlimits = ["${name}"]\n${more}\n`;
const policy = (name, keys) => `[limits.policies.${name}]\npartition = ["client", "route"]\n${keys}\n`;

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({
        config: before(origin.url, [
            policy("fixed", 'quota = "10/1m"'), route("fixed", "cost = 4"),
            policy("bytes", 'quota = "1kB/1m"\ncost = "request-bytes"'), route("bytes", ""),
            policy("told", 'quota = "100/1m"\ncost = "header:x-cost:5"'), route("told", ""),
            policy("errors", 'quota = "3/1m"\nrefund = ["5xx", "304"]'), route("errors", ""),
            policy("hits", 'quota = "3/1m"\nrefund = ["hit"]'), route("hits", 'cache = { ttl = "1h" }'),
        ].join("")),
    });
});

const left = ({ headers }) => Number(headers["x-ratelimit-remaining"]);

test("fixed, by route", async () => {
    assert.equal(left(await gate.get("/fixed/x")), 6);
    assert.equal(left(await gate.get("/fixed/x")), 2);
    assert.equal((await gate.get("/fixed/x")).status, 429);
});

test("by the size of the request; its length has to be told", async () => {
    const sent = await gate.get("/bytes/x", { method: "POST", body: "x".repeat(600) });
    assert.deepEqual([sent.status, left(sent)], [200, 400]);
    assert.match(sent.headers["ratelimit-policy"], /^"bytes";q=1000;w=60;qu="content-bytes"$/);
    assert.equal((await gate.get("/bytes/x", { method: "POST", body: "x".repeat(600) })).status, 429);
    const hopeless = await gate.get("/bytes/x", { method: "POST", body: "x".repeat(1001) });
    assert.deepEqual([hopeless.status, hopeless.headers["retry-after"]], [413, undefined]);
    const chunked = await gate.get("/bytes/x", { method: "POST", body: (async function* () { yield Buffer.from("abc"); })() });
    assert.equal(chunked.status, 411);
});

test("by what the origin says, settled afterwards", async () => {
    origin.on("/told/dear", { headers: { "X-Cost": "60" }, body: "x" });
    origin.on("/told/free", { headers: { "X-Cost": "0" }, body: "x" });
    assert.equal(left(await gate.get("/told/dear")), 40);
    await eventually(async () => assert.equal(left(await gate.get("/told/free")), 40));
});

test("errors and 304s that do not count", async () => {
    origin.on("/errors/500", { status: 500, body: "x" });
    for (let n = 0; n < 8; n += 1) {
        const answer = await gate.get("/errors/500", { method: "POST", body: "x" });
        assert.ok(answer.status === 500 || answer.status === 429);
        await eventually(async () => assert.equal((await gate.get("/errors/500", { method: "POST", body: "x" })).status, 500));
    }
});

test("stored responses that do not count", async () => {
    origin.on("/hits/x", { headers: { "Cache-Control": "max-age=3600" }, body: "x" });
    const first = await gate.get("/hits/x");
    assert.deepEqual([first.status, left(first)], [200, 2]);
    let hits = 0;
    for (let n = 0; n < 12; n += 1) {
        const answer = await gate.get("/hits/x");
        if (/hit/.test(answer.headers["cache-status"] ?? "")) {
            hits += 1;
            assert.equal(answer.status, 200);
        }
        await new Promise((done) => setTimeout(done, 30));
    }
    assert.equal(hits, 12, "none was refused");
});
