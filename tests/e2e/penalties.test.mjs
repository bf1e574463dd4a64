// Strikes and penalties in workerd: who goes on after a refusal, or scans, is refused outright.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { before, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, gate;
let clients = 30;
const stranger = () => `127.0.0.${(clients += 1)}`;
const pause = (millis) => new Promise((done) => setTimeout(done, millis));

beforeAll(async () => {
    origin = await startOrigin();
    for (const status of [403, 404]) origin.on(`/${status}`, { status, body: "x" });
    origin.on("/here", { body: "here" });
    origin.on("/api/here", { body: "here" });
    gate = await startGate({
        config: before(origin.url, `
[identity]
on_invalid = "refuse"
[limits.policies.few]
quota = "2/1m"
partition = "address"
[limits.policies.penalty-box]
quota = "3/5m"
strikes = ["refused"]
penalty = "2m to 1h"
partition = "address"
[limits.policies.scan]
quota = "3/1m"
strikes = ["401", "403", "404"]
penalty = "2s to 1m"
partition = "address"
[[routes]]
name = "few"
match = { path = "/api/*" }
limits = ["few", "penalty-box"]
[[routes]]
name = "site"
limits = ["scan"]
`),
        env: { TIDEGATE_ADMIN_TOKEN: "s3cret" },
    });
});

test("three refusals, and the fourth is for the penalty", async () => {
    const from = stranger();
    const seen = [];
    for (let n = 0; n < 6; n += 1) {
        const answer = await gate.get("/api/here", { from });
        seen.push([answer.status, answer.headers["x-ratelimit-policy"]]);
        await pause(30);
    }
    assert.deepEqual(seen, [[200, "few"], [200, "few"], [429, "few"], [429, "few"], [429, "few"], [429, "penalty-box"]]);
});

test("a scanner is refused what there is too, comes back after Retry-After, and is then refused for longer", async () => {
    const from = stranger();
    for (const penalty of [2, 4]) {
        for (const path of ["/404", "/here", "/403", "/404"]) {
            const { status, headers } = await gate.get(path, { from });
            assert.notEqual(status, 429);
            assert.equal(headers["ratelimit-policy"], undefined, "nobody is told of strikes");
            await pause(30);
        }
        const refused = await gate.get("/here", { from });
        assert.equal(refused.status, 429);
        assert.match(refused.text, /#abnormal-usage-detected/);
        assert.match(refused.headers["proxy-status"], /http_request_denied/);
        assert.equal(refused.headers["x-ratelimit-policy"], "scan");
        assert.equal(refused.headers["x-ratelimit-remaining"], "0");
        assert.equal(Number(refused.headers["retry-after"]), penalty);
        const asked = origin.requests.length;
        assert.equal((await gate.get("/here", { from })).status, 429);
        assert.equal(origin.requests.length, asked);
        assert.equal((await gate.get("/here", { from: stranger() })).status, 200, "others are not");
        await pause(penalty * 1000);
        assert.equal((await gate.get("/here", { from })).status, 200);
    }
});

test("keys that are guessed are strikes", async () => {
    const from = stranger();
    for (let n = 0; n < 3; n += 1) {
        assert.equal((await gate.get("/here", { from, headers: { "X-API-Key": `guess-${n}` } })).status, 401);
        await pause(30);
    }
    assert.equal((await gate.get("/here", { from, headers: { "X-API-Key": "guess-3" } })).status, 429);
    assert.equal((await gate.get("/here", { from })).status, 429);
});

test("whoever holds the token lets a client go", async () => {
    const from = stranger();
    for (let n = 0; n < 4; n += 1) {
        await gate.get("/404", { from });
        await pause(30);
    }
    assert.equal((await gate.get("/here", { from })).status, 429);
    const admin = `/_tidegate/admin/rate-limits/partition?policy=scan&address=${from}`;
    const headers = { Authorization: "Bearer s3cret" };
    assert.equal(JSON.parse((await gate.get(admin, { headers })).text).partitions[0].remaining, 0);
    assert.equal((await gate.get(admin, { method: "DELETE", headers })).status, 200);
    assert.equal((await gate.get("/here", { from })).status, 200);
});
