// API keys by the admin's endpoints and by `tidegate keys`, in workerd, with the KV that it has.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before as beforeAll, test } from "node:test";
import { ROOT } from "../../tools/gate.mjs";
import { before, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, gate, config;

beforeAll(async () => {
    origin = await startOrigin();
    config = before(origin.url);
    gate = await startGate({ config, env: { TIDEGATE_ADMIN_TOKEN: "s3cret" } });
});

const admin = (method, path, content, token = "s3cret") =>
    gate.get(`/_tidegate/admin/keys${path}`, {
        method,
        headers: { Authorization: `Bearer ${token}` },
        body: content && JSON.stringify(content),
    });
const tier = async (key) => (await gate.get("/api/x", { headers: { "X-API-Key": key } })).headers["x-ratelimit-tier"];

async function make(content) {
    const answer = await admin("POST", "", content);
    assert.equal(answer.status, 201, answer.text);
    return answer.json();
}

test("only the whole token opens", async () => {
    for (const token of ["", "s3cre", "s3cret2", "S3CRET"]) assert.equal((await admin("GET", "", undefined, token)).status, 401);
    assert.equal((await gate.get("/_tidegate/admin/keys")).status, 401);
});

test("a key is told once, works at once, and lies in KV by its hash alone", async () => {
    const { key, id, tier: told } = await make({ tier: "pro", subject: "acme", note: "ci" });
    assert.match(key, /^tg_[\w-]{43}$/);
    assert.equal(id, createHash("sha256").update(key).digest("hex"));
    assert.equal(told, "pro");
    assert.equal(await tier(key), "pro");
    const kv = await gate.kv();
    const { keys } = await kv.list();
    assert.ok(keys.some(({ name }) => name === `key:${id}`));
    for (const { name } of keys) assert.ok(!`${name} ${await kv.get(name)}`.includes(key));
    assert.ok(!gate.log().includes(key));
    assert.deepEqual((await admin("GET", `/${id}`)).json().note, "ci");
});

test("its tier changes while it runs; revoked, it is nobody's", async () => {
    const { key, id } = await make({ tier: "free", subject: "umbrella" });
    assert.equal(await tier(key), "free");
    assert.equal((await admin("PATCH", `/${id}`, { tier: "enterprise" })).status, 200);
    assert.equal(await tier(key), "enterprise");
    assert.equal((await admin("POST", `/${id}/revoke`)).status, 200);
    assert.equal(await tier(key), "anonymous");
    assert.equal((await admin("GET", `/${id}`)).json().disabled, true);
    assert.equal((await admin("DELETE", `/${id}`)).status, 200);
    assert.equal((await admin("GET", `/${id}`)).status, 404);
});

test("rotation: the new key works, the old one ends at once, or after its grace", async () => {
    const first = await make({ tier: "pro", subject: "initech" });
    const second = (await admin("POST", `/${first.id}/rotate`)).json();
    assert.deepEqual([await tier(second.key), await tier(first.key)], ["pro", "anonymous"]);
    const third = (await admin("POST", `/${second.id}/rotate`, { grace: "1h" })).json();
    assert.deepEqual([await tier(third.key), await tier(second.key)], ["pro", "pro"]);
    assert.equal(third.replaces, second.id);
});

test("every key is listed, also those that were put there by hand", async () => {
    const kv = await gate.kv();
    const made = Array.from({ length: 120 }, (_, n) => createHash("sha256").update(`by hand ${n}`).digest("hex"));
    for (const id of made) await kv.put(`key:${id}`, '{\n  "tier": "free",\n  "subject": "many"\n}\n');
    await kv.put("cache:x", "not a key");
    const seen = [];
    let cursor = "";
    do {
        const page = (await admin("GET", `?cursor=${encodeURIComponent(cursor)}`)).json();
        seen.push(...page.keys);
        cursor = page.cursor;
    } while (cursor);
    assert.equal(new Set(seen.map(({ id }) => id)).size, seen.length);
    assert.equal(seen.filter(({ subject, tier }) => subject === "many" && tier === "free").length, 120);
    assert.ok(made.every((id) => seen.some((key) => key.id === id)));
});

test("a key of `tidegate keys create` works once what it prints is done", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "tidegate-keys-")), "tidegate.toml");
    writeFileSync(file, config);
    const printed = execFileSync(join(ROOT, "build/tidegate"), ["keys", "create", "--config", file, "--tier", "enterprise", "--subject", "o'hara"], { encoding: "utf8" });
    const key = /^key +(\S+)$/m.exec(printed)[1];
    // wrangler's own words, put into KV as it would.
    const [, name, record] = /kv key put --remote --binding KV (\S+) '(.*)'$/m.exec(printed);
    await (await gate.kv()).put(name, record.replaceAll("'\\''", "'"));
    assert.equal(await tier(key), "enterprise");
});
