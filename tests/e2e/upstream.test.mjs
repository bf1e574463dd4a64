// An origin's own quota is heeded before it says no, and a budget chooses between providers.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before as beforeAll, test } from "node:test";
import { pause, send, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, free, paid, gate;
let used = 0, refused = 0, window = 0;

/** Allows 20 requests in each 3 seconds, and says so. */
function counting(_, response) {
    const now = Date.now() / 1000;
    if (Math.floor(now / 3) !== window) [window, used] = [Math.floor(now / 3), 0];
    const resets = Math.ceil((window + 1) * 3 - now);
    if (used === 20) {
        refused += 1;
        return void response.writeHead(429, { "Retry-After": resets, "Content-Length": 0 }).end();
    }
    used += 1;
    response.writeHead(200, { "X-RateLimit-Limit": 20, "X-RateLimit-Remaining": 20 - used, "X-RateLimit-Reset": resets, "Cache-Control": "no-store", "Content-Length": 2 }).end("ok");
}

beforeAll(async () => {
    [origin, free, paid] = [await startOrigin(), await startOrigin({ name: "free" }), await startOrigin({ name: "paid" })];
    origin.otherwise(counting);
    gate = await startGate({
        config: `
[origins.default]
url = "${origin.url}"
upstream_quota = true
attempt_timeout = "2s"
total_timeout = "4s"
[origins.images]
url = "${free.url}"
budget = "10/day"
fallback = ["paid"]
[origins.paid]
url = "${paid.url}"
cost = 1
[[routes]]
name = "images"
match = { path = "/images/*" }
origin = "images"
[[routes]]
name = "rest"
`,
        twin: true,
    });
    const hash = createHash("sha256").update("of a company").digest("hex");
    await (await gate.kv()).put(`key:${hash}`, JSON.stringify({ tier: "enterprise", subject: "e" }));
});

test("under twice the load that it allows, the origin never has to say no", async () => {
    await gate.get("/first");
    const answers = [];
    for (let n = 0; n < 200; n += 1) {
        const headers = n % 2 ? { "X-API-Key": "of a company" } : {};
        answers.push(gate.get(`/${n}`, { headers }).then((answer) => ({ ...answer, isHigh: n % 2 === 1 })));
        await pause(75);
    }
    const done = await Promise.all(answers);
    assert.equal(refused, 0);
    const low = done.filter(({ isHigh }) => !isHigh);
    const high = done.filter(({ isHigh }) => isHigh);
    const served = (some) => some.filter(({ status }) => status === 200).length;
    for (const { status, headers } of done.filter(({ status }) => status !== 200)) {
        assert.equal(status, 503);
        assert.ok(Number(headers["retry-after"]) >= 1);
        assert.match(headers["proxy-status"], /the origin's quota is spent/);
    }
    assert.ok(served(done) >= 80, `${served(done)} of 200 were served`);
    assert.ok(served(high) >= served(low), "the lowest tier goes without first");
});

test("ten images come from the free provider whoever asks, and the rest from the next, also after a restart", async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => send(`${n % 2 ? gate.url : gate.twin}/images/${n}`)));
    const by = (name) => answers.filter(({ text }) => text === name).length;
    assert.deepEqual([by("free"), by("paid")], [10, 20]);
    await gate.restart();
    for (let n = 30; n < 35; n += 1) assert.equal((await gate.get(`/images/${n}`)).text, "paid");
    assert.equal(free.requests.length, 10);
});
