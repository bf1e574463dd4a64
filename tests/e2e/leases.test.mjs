// Leases in workerd: clients of every tier under load get exactly their quota at a fraction of the calls, and no count is
// lost or doubled when objects are evicted, the wasm dies or workerd is started anew.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import http from "node:http";
import { before as beforeAll, test } from "node:test";
import { before, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const CLIENTS_PER_TIER = process.env.TIDEGATE_LONG ? 50 : 10;
/** An hour, so that nothing comes back in a test. */
const QUOTAS = { anonymous: 20, free: 100, pro: 150, enterprise: 300 };
const config = (url) => before(url, `
[limits.policies.tier]
tiers = { ${Object.entries(QUOTAS).map(([tier, quota]) => `${tier} = "${quota}/1h"`).join(", ")} }
[limits.policies.everybody]
quota = "1000/1h"
partition = "global"
[limits.policies.counted]
quota = "1000/1h"
partition = "global"
leases = false
[limits.policies.at-once]
quota = "20/1h"
first_request = "provisional"
[[routes]]
name = "at-once"
match = { path = "/at-once" }
limits = ["at-once"]
cache = "off"
[[routes]]
name = "counted"
match = { path = "/counted" }
limits = ["counted"]
cache = "off"
[[routes]]
name = "tier"
match = { path = "/api/*" }
limits = ["tier"]
cache = "off"
[[routes]]
name = "all"
match = { path = "/all" }
limits = ["everybody"]
cache = "off"
`);
/** The object of the partition "global". */
const EVERYBODY = createHash("sha256").update(Buffer.concat([Buffer.from("g"), Buffer.alloc(8, 0xff)])).digest("hex");

let origin, gate, agent;

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: config(origin.url), env: { TIDEGATE_TEST_TRAP: "1" } });
    agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
    const kv = await gate.kv();
    for (const tier of ["free", "pro", "enterprise"]) {
        for (let n = 0; n < CLIENTS_PER_TIER; n += 1) {
            const hash = createHash("sha256").update(`${tier}-${n}`).digest("hex");
            await kv.put(`key:${hash}`, JSON.stringify({ tier, subject: `${tier} ${n}` }));
        }
    }
});

/** A request on a connection that is used again. */
function get(path, { key, from } = {}) {
    const { hostname, port } = new URL(gate.url);
    const headers = key ? { "X-API-Key": key } : {};
    return new Promise((done, fail) => {
        const request = http.get({ hostname, port, path, headers, localAddress: from, agent: from ? undefined : agent }, (response) => {
            response.resume().on("end", () => done({ status: response.statusCode, headers: response.headers }));
        });
        request.on("error", fail);
    });
}

const left = async (path = "/all") => Number((await get(path)).headers["x-ratelimit-remaining"]);

/** What the limiter did so far, once everything is counted. */
async function limiter() {
    await pause(2500);
    await get("/uncounted");
    await pause(2500);
    const { text } = await gate.get("/_tidegate/metrics");
    return Object.fromEntries([...text.matchAll(/^tidegate_limiter_total\{event="(.*)"\} (\d+)/gm)].map(([, event, n]) => [event, Number(n)]));
}

test("clients of four tiers under load get exactly their quota", async () => {
    const clients = Object.keys(QUOTAS).flatMap((tier) => Array.from({ length: CLIENTS_PER_TIER }, (_, n) => ({
        tier,
        who: tier === "anonymous" ? { from: `127.0.1.${n + 1}` } : { key: `${tier}-${n}` },
        admitted: 0,
        told: Infinity,
        left: Math.ceil(QUOTAS[tier] * 1.2),
    })));
    const total = clients.reduce((sum, client) => sum + client.left, 0);
    const begin = performance.now();
    const worker = async () => {
        for (;;) {
            const open = clients.filter((client) => client.left > 0 && !client.busy);
            if (open.length === 0) return;
            const client = open[Math.floor(Math.random() * open.length)];
            client.left -= 1;
            // One at a time, so that what it is told can be compared with what it was told before.
            client.busy = true;
            const { status, headers } = await get("/api/thing", client.who);
            client.busy = false;
            assert.ok(status === 200 || status === 429, `${status}`);
            client.admitted += status === 200;
            const remaining = Number(headers["x-ratelimit-remaining"]);
            assert.equal(headers["x-ratelimit-tier"], client.tier);
            assert.ok(remaining < client.told || (status === 429 && remaining === 0), `${client.tier}: ${remaining} after ${client.told}`);
            client.told = remaining;
        }
    };
    await Promise.all(Array.from({ length: 24 }, worker));
    const seconds = (performance.now() - begin) / 1000;
    for (const { tier, who, admitted } of clients) assert.equal(admitted, QUOTAS[tier], JSON.stringify(who));
    const did = await limiter();
    console.log(`leases: ${total} requests of ${clients.length} clients on four tiers, ${(total / seconds).toFixed(0)} a second, each admitted exactly to its quota: `
        + `${did.call} calls, ${(total / did.call).toFixed(1)} requests a call`, JSON.stringify(did));
    assert.ok(did["call-saved"] > 0 && did.call < total / 2, JSON.stringify(did));
    assert.equal(did["refused-early"], 0, "there is one isolate");
});

test("a busy partition costs one call in twenty requests or more", async () => {
    const earlier = await limiter();
    for (let n = 0; n < 300; n += 1) assert.equal(await left(), 999 - n);
    const now = await limiter();
    const calls = now.call - earlier.call;
    console.log(`leases: 300 requests of one partition, ${calls} calls, ${(300 / calls).toFixed(1)} requests a call`);
    assert.ok(calls <= 20, `${calls} calls`);
});

test("the first request of a client may be let through before it is counted, and is counted", async () => {
    const fields = async () => {
        const { status, headers } = await get("/at-once");
        return [status, headers["ratelimit-policy"], headers.ratelimit, headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]];
    };
    assert.deepEqual(await fields(), [200, '"at-once";q=20;w=3600', undefined, "20", undefined]);
    await pause(300);
    for (const left of ["18", "17"]) assert.equal((await fields())[4], left);
});

test("an object that is evicted has lost nothing", async () => {
    const before = await left();
    for (let n = 1; n <= 30; n += 1) {
        // What is not leased is counted by the object, which is running then.
        assert.equal(await left("/counted"), 1000 - n);
        if (n % 3 === 0) await gate.evict("Limiter", EVERYBODY);
        assert.equal(await left(), before - n);
    }
});

test("a wasm that dies in the object, and in the isolate, loses and doubles nothing that was counted", async () => {
    const before = await left();
    await gate.get("/all", { headers: { "x-tidegate-test-trap": "limiter" } });
    const after = await left();
    assert.ok(after <= before - 1 && after >= before - 2, `${after} after ${before}`);
    for (let n = 1; n <= 30; n += 1) assert.equal(await left(), after - n);
    const [earlier] = [await left()];
    await gate.get("/all", { headers: { "x-tidegate-test-trap": "1" } });
    const later = await left();
    assert.ok(later < earlier, "nothing is lost");
    assert.ok(later >= earlier / 2, `${later}: no more counts as taken than what was on lease, at most a quarter at a time`);
});

test("a workerd that is started anew has lost nothing", async () => {
    const earlier = await left();
    await gate.restart();
    const later = await left();
    assert.ok(later < earlier && later >= earlier / 2, `${later} after ${earlier}`);
});
