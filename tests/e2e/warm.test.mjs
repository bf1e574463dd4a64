// What is fetched before anybody asks for it.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { before, eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const TOKEN = "the test's own admin token";
let origin, gate;
let served = 0;

const admin = (method, path, body, token = TOKEN) => gate.get(`/_tidegate/admin/${path}`, {
    method,
    headers: token === null ? {} : { Authorization: `Bearer ${token}` },
    body: typeof body === "object" ? JSON.stringify(body) : body,
});

async function warm(paths, more = {}) {
    const answer = await admin("POST", "warm", { urls: paths.map((path) => gate.url + path), ...more });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers["content-type"], "application/json");
    return answer.json();
}

/** Waits until nothing waits any more; how it went. */
const done = (millis = 8000) => eventually(async () => {
    const progress = (await admin("GET", "warm")).json();
    assert.ok(progress.ended_at !== null && progress.waiting === 0, JSON.stringify(progress));
    return progress;
}, millis);

/** An isolate that has nothing in memory, in a colo that has nothing either. */
async function elsewhere() {
    await pause(300);
    await gate.restart();
    await gate.purgeColo();
}

beforeAll(async () => {
    origin = await startOrigin();
    for (const path of ["/a", "/b", "/c", ...Array.from({ length: 8 }, (_, n) => `/slowly/${n}`)]) {
        origin.on(path, (request, response) => {
            served += 1;
            const language = request.headers["accept-language"] ?? "none";
            response.writeHead(200, { "Cache-Control": "max-age=600", "Content-Type": "text/plain", Vary: "Accept-Language" });
            response.end(`${path} in ${language}, ${served}`);
        });
    }
    origin.on("/private", { headers: { "Cache-Control": "private" }, body: "mine" });
    origin.on("/down", { status: 503 });
    gate = await startGate({ config: before(origin.url, "[fleet]\nwarm_per_second = 4\n"), env: { TIDEGATE_ADMIN_TOKEN: TOKEN } });
});

test("what is warmed is in KV for whoever asks first", async () => {
    const started = await warm(["/a", "/b", "/private", "/down"]);
    assert.equal(started.per_second, 4);
    const { stored, passed, failed } = await done();
    assert.deepEqual({ stored, passed, failed }, { stored: 2, passed: 1, failed: 1 });
    await elsewhere();
    for (const path of ["/a", "/b"]) {
        const answer = await gate.get(path);
        assert.match(answer.headers["cache-status"], /^tidegate; hit; ttl=\d+; detail=kv$/);
        assert.match(answer.text, /in none, [12]$/);
    }
    await warm(["/a", "/b"]);
    assert.equal((await done()).fresh, 2);
    assert.equal(served, 2);
});

test("a variant is warmed by its fields", async () => {
    await warm(["/c"], { fields: { "Accept-Language": "de" } });
    await done();
    await elsewhere();
    const answer = await gate.get("/c", { headers: { "Accept-Language": "de" } });
    assert.match(answer.headers["cache-status"], /detail=kv$/);
    assert.match(answer.text, /in de/);
});

test("what was purged is fetched anew, at once", async () => {
    const old = (await gate.get("/a")).text;
    assert.equal((await admin("POST", "purge", { operations: [{ everything: true }] })).status, 200);
    await warm(["/a"]);
    assert.equal((await done()).stored, 1);
    await pause(1200);
    await elsewhere();
    const answer = await gate.get("/a");
    assert.match(answer.headers["cache-status"], /detail=kv$/);
    assert.notEqual(answer.text, old);
});

test("it keeps to its rate, and goes on after a restart", async () => {
    const before = served;
    const began = Date.now();
    await warm(Array.from({ length: 8 }, (_, n) => `/slowly/${n}`));
    await eventually(() => assert.ok(served - before >= 2));
    const so_far = served - before;
    assert.ok(so_far <= 1 + (4 * (Date.now() - began)) / 1000, `${so_far} in ${Date.now() - began} ms`);
    await gate.restart();
    const { stored, fresh } = await done(20_000);
    assert.equal(stored + fresh, 8);
    await elsewhere();
    for (let n = 0; n < 8; n += 1) {
        assert.match((await gate.get(`/slowly/${n}`)).headers["cache-status"], /detail=kv$/);
    }
});

test("without the token nothing is warmed, and what is wrong is named", async () => {
    assert.equal((await admin("POST", "warm", { urls: [`${gate.url}/a`] }, null)).status, 401);
    assert.equal((await admin("GET", "warm", undefined, "another")).status, 401);
    for (const [body, detail] of [
        ["{", /^the content is no JSON object; allowed: /],
        [{ urls: [] }, /^urls: .*; allowed: 1 to 1000 URLs$/],
        [{ urls: ["/a"] }, /^urls\[0\]: .*; allowed: /],
    ]) {
        const answer = await admin("POST", "warm", body);
        assert.equal(answer.status, 400);
        assert.match(answer.json().detail, detail);
    }
});

test("what is asked for most is refilled after a purge", async () => {
    const config = before(origin.url, "[fleet]\nhot = true\nwarm_after_purge = true\nwarm_per_second = 20\n");
    await gate.restart({ config });
    for (const path of ["/a", "/b"]) {
        await gate.get(path);
        await gate.get(path);
    }
    // Counters reach their object within seconds.
    await eventually(async () => assert.match((await gate.get("/_tidegate/metrics")).text, /tidegate_requests_total\{[^}]*\} [1-9]/));
    await pause(1500);
    assert.equal((await admin("POST", "purge", { operations: [{ everything: true }] })).status, 200);
    const { stored } = await done();
    assert.ok(stored >= 2, `${stored} were stored`);
    await pause(1200);
    await elsewhere();
    assert.match((await gate.get("/a")).headers["cache-status"], /detail=kv$/);
});
