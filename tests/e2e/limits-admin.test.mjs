// What the admin's endpoints tell of limits, and do to them, in workerd.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { before, eventually, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let gate;

beforeAll(async () => {
    const origin = await startOrigin();
    gate = await startGate({ config: before(origin.url), env: { TIDEGATE_ADMIN_TOKEN: "s3cret" } });
});

const admin = (path, method = "GET") =>
    gate.get(`/_tidegate/admin/rate-limits${path}`, { method, headers: { Authorization: "Bearer s3cret" } });

test("what became of each policy is told, by tier, with the partitions that ask most", async () => {
    for (let n = 0; n < 25; n += 1) await gate.get("/api/x", { from: "127.0.0.5" });
    await gate.get("/api/x", { from: "127.0.0.6" });
    const stats = await eventually(async () => {
        const told = (await admin("/stats")).json();
        assert.equal(told.policies[0]?.admitted, 21);
        return told;
    });
    const [{ policy, tier, refused, called, degraded, "calls-saved": saved }] = stats.policies;
    assert.deepEqual({ policy, tier, refused, degraded }, { policy: "tier", tier: "anonymous", refused: 5, degraded: 0 });
    assert.equal(called + saved, 26);
    assert.ok(saved >= 4, "a client that is known to be over costs no call");
    assert.deepEqual(stats.partitions.map(({ requests, refused }) => [requests, refused]), [[25, 5], [1, 0]]);
    assert.ok(stats.partitions.every(({ partition }) => /^[0-9a-f]{64}$/.test(partition)));
    const list = (await admin("")).json();
    assert.equal(list.policies[0].quotas.pro, "1000/1m");
});

test("a partition is looked up and reset, and its client is free at once", async () => {
    const from = "127.0.0.7";
    for (let n = 0; n < 21; n += 1) await gate.get("/api/x", { from });
    assert.equal((await gate.get("/api/x", { from })).status, 429);
    const [shown] = (await admin(`/partition?policy=tier&address=${from}`)).json().partitions;
    assert.deepEqual([shown.limit, shown.remaining], [20, 0]);
    const reset = (await admin(`/partition?policy=tier&address=${from}`, "DELETE")).json();
    assert.equal(reset.partitions[0].remaining, 20);
    const answer = await gate.get("/api/x", { from });
    assert.deepEqual([answer.status, answer.headers["x-ratelimit-remaining"]], [200, "19"]);
});
