// What a purge puts an end to, in every layer, and what the fleet's object keeps.
import assert from "node:assert/strict";
import { before as beforeAll, beforeEach, test } from "node:test";
import { before, eventually, pause, send, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const TOKEN = "the test's own admin token";
const CONFIG = (url) => before(url, `
[cache.default]
kv_admission = "always"
[fleet]
refresh = "1s"
[[routes]]
name = "blog"
match = { path = "/blog/**" }
[[routes]]
name = "all"
`);
let origin, gate;
let paths = 0;
let served = 0;

/** A path whose responses are numbered, and bear a tag of their own. */
function fresh(more = {}, folder = "") {
    const path = `${folder}/page-${(paths += 1)}`;
    const rule = (_, response) => {
        served += 1;
        response.writeHead(200, { "Cache-Control": "max-age=600", "Cache-Tag": `all, tag-${paths}`, "Content-Type": "text/plain", ...more });
        response.end(String(served));
    };
    origin.on(path, rule);
    return { path, url: gate.url + path, tag: `tag-${paths}` };
}

const admin = (method, path, body, token = TOKEN) => gate.get(`/_tidegate/admin/${path}`, {
    method,
    headers: token === null ? {} : { Authorization: `Bearer ${token}` },
    body: typeof body === "object" ? JSON.stringify(body) : body,
});

async function purge(...operations) {
    const answer = await admin("POST", "purge", { operations });
    assert.equal(answer.status, 200, answer.text);
    return answer.json();
}

/** Asks until a stored response answers. */
const hit = (path) => eventually(async () => {
    const answer = await gate.get(path);
    assert.match(answer.headers["cache-status"], /^tidegate; hit/);
    return answer;
});

/** Waits until KV holds what was stored, and lets an isolate begin with empty memory. */
async function restarted() {
    await pause(300);
    await gate.restart();
}

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: CONFIG(origin.url), env: { TIDEGATE_ADMIN_TOKEN: TOKEN } });
});
beforeEach(() => origin.clear());

test("each kind of purge ends what it names, and spares the rest", async () => {
    const { hostname } = new URL(gate.url);
    for (const name of [
        ({ url }) => ({ url: `${url}?a=1` }),
        ({ url }) => ({ prefix: url.slice(0, -1) }),
        ({ tag }) => ({ tag: tag.toUpperCase() }),
        () => ({ route: "blog" }),
        () => ({ host: hostname }),
        () => ({ everything: true }),
    ]) {
        const page = fresh({}, "/blog");
        const first = await gate.get(`${page.path}?a=1`);
        assert.equal((await hit(`${page.path}?a=1`)).text, first.text);
        await purge({ tag: "another" }, { url: `${page.url}?a=2` }, { prefix: `${gate.url}/other/` }, { route: "all" }, { host: "other" });
        assert.equal((await gate.get(`${page.path}?a=1`)).text, first.text, "spared");
        const operation = name(page);
        await purge(operation);
        const next = await gate.get(`${page.path}?a=1`);
        assert.notEqual(next.text, first.text, JSON.stringify(operation));
        assert.match(next.headers["cache-status"], /fwd=(uri-miss|miss)/);
    }
});

test("a purge reaches memory, colo and KV, also after a restart", async () => {
    const inMemory = fresh();
    const inColo = fresh();
    const inKv = fresh();
    const firsts = [];
    for (const { path } of [inMemory, inColo, inKv]) {
        firsts.push((await gate.get(path)).text);
        await hit(path);
    }
    await restarted();
    assert.match((await gate.get(inMemory.path)).headers["cache-status"], /detail=colo/);
    await purge(...[inMemory, inColo, inKv].map(({ tag }) => ({ tag })));
    assert.notEqual((await gate.get(inMemory.path)).text, firsts[0]);
    assert.notEqual((await gate.get(inColo.path)).text, firsts[1]);
    // The document reaches KV within a second, and a new isolate reads it there.
    await eventually(async () => assert.ok(await (await gate.kv()).get("fleet")));
    await pause(1200);
    await restarted();
    await gate.purgeColo();
    const answer = await gate.get(inKv.path);
    assert.notEqual(answer.text, firsts[2]);
    assert.match(answer.headers["cache-status"], /fwd=/);
});

test("a soft purge leaves what stale-while-revalidate may still answer with", async () => {
    const page = fresh({ "Cache-Control": "max-age=600, stale-while-revalidate=600" });
    const first = await gate.get(page.path);
    await hit(page.path);
    await purge({ url: page.url, mode: "soft" });
    const stale = await gate.get(page.path);
    assert.equal(stale.text, first.text);
    assert.match(stale.headers["cache-status"], /^tidegate; hit; ttl=-?\d+; detail=swr$/);
    const refreshed = await eventually(async () => {
        const answer = await gate.get(page.path);
        assert.notEqual(answer.text, first.text);
        return answer;
    });
    assert.match(refreshed.headers["cache-status"], /^tidegate; hit; ttl=\d+; detail=memory$/);
});

test("a soft purge leaves what stale-if-error may still answer with, a hard one does not", async () => {
    const [soft, hard] = [0, 1].map(() => fresh({ "Cache-Control": "max-age=600, stale-if-error=600" }));
    const first = await gate.get(soft.path);
    for (const { path } of [soft, hard]) {
        await gate.get(path);
        await hit(path);
        origin.on(path, { status: 503, headers: { "Cache-Control": "no-store" } });
    }
    await purge({ url: soft.url, mode: "soft" }, { url: hard.url });
    const stale = await gate.get(soft.path);
    assert.equal(stale.status, 200);
    assert.equal(stale.text, first.text);
    assert.match(stale.headers["cache-status"], /detail=sie/);
    assert.equal((await gate.get(hard.path)).status, 503);
});

test("a batch says what was done and when it holds everywhere; one that is sent again is not applied again", async () => {
    const page = fresh();
    const batch = { id: "deploy-7", operations: [{ tag: page.tag }, { host: "other.example", mode: "soft" }] };
    const first = await admin("POST", "purge", batch);
    const done = first.json();
    assert.equal(first.status, 200);
    assert.equal(first.headers["cache-control"], "no-store");
    assert.equal(done.id, "deploy-7");
    assert.equal(done.everywhere_within_seconds, 62);
    assert.deepEqual(done.operations.map(({ done }) => done), ["not served again", "stale from now on"]);
    assert.ok(done.operations.every(({ everywhere }) => Date.parse(everywhere) > Date.now()));
    await gate.get(page.path);
    const stored = await hit(page.path);
    assert.equal((await admin("POST", "purge", batch)).text, first.text);
    assert.equal((await gate.get(page.path)).text, stored.text);
    await gate.restart();
    assert.equal((await admin("POST", "purge", batch)).text, first.text, "the object has kept it");
    const other = await admin("POST", "purge", { ...batch, operations: [{ everything: true }] });
    assert.equal(other.status, 409);
    const most = await purge(...Array.from({ length: 100 }, (_, at) => ({ tag: `many-${at}` })));
    assert.equal(most.operations.length, 100);
});

test("without the token nothing is purged; without a token in the deployment there is no such door", async () => {
    const body = { operations: [{ everything: true }] };
    assert.equal((await admin("POST", "purge", body, null)).status, 401);
    const wrong = await admin("POST", "purge", body, "another");
    assert.equal(wrong.status, 401);
    assert.equal(wrong.headers["content-type"], "application/problem+json");
    const closed = await startGate({ config: CONFIG(origin.url) });
    assert.equal((await closed.get("/_tidegate/admin/purge", { method: "POST", body: JSON.stringify(body) })).status, 404);
    await closed.stop();
});

test("what is wrong in a request is named, with what is allowed", async () => {
    for (const [method, body, status, detail] of [
        ["GET", undefined, 405, /.*/],
        ["POST", "", 400, /^the content is no JSON object; allowed: /],
        ["POST", "{", 400, /^the content is no JSON object; allowed: /],
        ["POST", { operations: [] }, 400, /^operations: .*; allowed: 1 to 100 operations$/],
        ["POST", { operations: Array(101).fill({ tag: "a" }) }, 400, /^operations: .*; allowed: 1 to 100 operations$/],
        ["POST", { operations: [{ tag: "a" }, { rout: "all" }] }, 400, /^operations\[1\]\.rout: .*; allowed: .*"route"/],
        ["POST", { operations: [{ route: "al" }] }, 400, /^operations\[0\]\.route: `al` is not a route; allowed: blog, all$/],
        ["POST", { operations: [{ url: "/x" }] }, 400, /^operations\[0\]\.url: `\/x` is not an absolute URL; allowed: /],
        ["POST", " ".repeat(256 * 1024 + 1), 413, /^the content is too long; allowed: up to 256 KiB$/],
    ]) {
        const answer = await admin(method, "purge", body);
        assert.equal(answer.status, status, answer.text);
        assert.match(answer.json().detail, detail);
    }
});

test("the audit trail tells who purged what, the latest first, and survives a restart", async () => {
    await purge({ tag: "first" });
    await purge({ tag: "second", mode: "soft" });
    await gate.restart();
    const answer = await admin("GET", "audit");
    const [second, first] = answer.json();
    assert.deepEqual(second.operations, [{ tag: "second", mode: "soft" }]);
    assert.deepEqual(first.operations, [{ tag: "first", mode: "hard" }]);
    assert.equal(second.by.address, "127.0.0.1");
    assert.ok(second.number > first.number && !answer.text.includes(TOKEN));
});

test("what a write makes invalid is so in another isolate too, where the route says so", async () => {
    const config = `${CONFIG(origin.url)}cache = { invalidation = "global", tags_passed_on = false }\n`;
    const two = await startGate({ config, env: { TIDEGATE_ADMIN_TOKEN: TOKEN }, twin: true });
    const at = (base, { path }, more = {}) => send(base + path, { headers: { Host: "both.example" }, ...more });
    const written = fresh();
    const grouped = fresh({ "Cache-Groups": '"scripts"' });
    const other = fresh({ "Cache-Groups": '"styles"' });
    const all = [written, grouped, other];
    const firsts = [];
    for (const page of all) {
        const answer = await at(two.twin, page);
        assert.ok(!("cache-tag" in answer.headers) && !("cache-groups" in answer.headers));
        firsts.push(answer.text);
        await eventually(async () => assert.match((await at(two.twin, page)).headers["cache-status"], /detail=memory/));
    }
    origin.on(written.path, { status: 204, headers: { "Cache-Group-Invalidation": '"scripts"' } });
    assert.equal((await at(two.url, written, { method: "POST", body: "new" })).status, 204);
    origin.on(written.path, { headers: { "Cache-Control": "max-age=600" }, body: "new" });
    await eventually(async () => assert.equal((await at(two.twin, written)).text, "new"));
    assert.notEqual((await at(two.twin, grouped)).text, firsts[1]);
    assert.equal((await at(two.twin, other)).text, firsts[2]);
    assert.deepEqual((await send(`${two.url}/_tidegate/admin/audit`, { headers: { Authorization: `Bearer ${TOKEN}` } })).json(), []);
    await two.stop();
});

test("a deploy keeps what is stored, except where the rules of its key have changed", async () => {
    const [kept, changed] = [fresh(), fresh({}, "/blog")];
    const firsts = [];
    for (const { path } of [kept, changed]) {
        firsts.push((await gate.get(path)).text);
        await hit(path);
    }
    await pause(300);
    const next = CONFIG(origin.url)
        .replace("[fleet]", '[limits.policies.much]\ntiers = { anonymous = "9000/1m" }\n[fleet]')
        .replace('name = "blog"', 'name = "log"\ncache = { key = { drop = ["utm_*"] } }')
        .replace('name = "all"', 'name = "rest"\nlimits = ["much"]\ncache = { ttl = "1h", stale_if_error = "1d", layers = ["memory", "kv"] }');
    await gate.restart({ config: next });
    const answer = await gate.get(kept.path);
    assert.match(answer.headers["cache-status"], /^tidegate; hit; ttl=\d+; detail=kv$/);
    assert.match(answer.headers.ratelimit, /^"much"/, "it runs the new config");
    assert.equal(answer.text, firsts[0]);
    const anew = await gate.get(changed.path);
    assert.match(anew.headers["cache-status"], /fwd=uri-miss/);
    assert.notEqual(anew.text, firsts[1]);
});
