// The deny and the allow list in workerd: from the config, and changed while the gate runs.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before as beforeAll, test } from "node:test";
import { before, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, gate;
const headers = { Authorization: "Bearer s3cret" };
const path = "/_tidegate/admin/lists";
const post = (list, content) => gate.get(`${path}/${list}`, { method: "POST", headers, body: JSON.stringify(content) });
const status = async (from, more = {}) => (await gate.get("/x", { from, ...more })).status;

beforeAll(async () => {
    origin = await startOrigin();
    origin.on("/x", { headers: { "Cache-Control": "max-age=600" }, body: "x" });
    gate = await startGate({
        config: before(origin.url, `
[limits]
deny = ["127.0.1.0/24"]
allow = ["127.0.1.7"]
[limits.policies.few]
quota = "2/1m"
partition = "address"
[[routes]]
name = "all"
limits = ["few"]
`),
        env: { TIDEGATE_ADMIN_TOKEN: "s3cret" },
    });
});

test("what the config says", async () => {
    assert.equal(await status("127.0.0.40"), 200);
    const refused = await gate.get("/x", { from: "127.0.1.5" });
    assert.equal(refused.status, 403);
    assert.match(refused.headers["content-type"], /problem\+json/);
    assert.match(refused.headers["proxy-status"], /http_request_denied/);
    for (let n = 0; n < 5; n += 1) assert.equal(await status("127.0.1.7"), 200);
});

test("a network is denied and let go while the gate runs", async () => {
    assert.equal(await status("127.0.2.9"), 200);
    const told = await post("deny", { address: "127.0.2.0/24", until: "1h", note: "scans" });
    assert.equal(told.status, 200);
    assert.equal(told.json().address, "127.0.2.0/24");
    assert.equal(await status("127.0.2.9"), 403);
    assert.equal(await status("127.0.0.41"), 200);
    const shown = (await gate.get(path, { headers })).json();
    assert.deepEqual(shown.deny.map(({ address }) => address), ["127.0.1.0/24", "127.0.2.0/24"]);
    await gate.get(`${path}/deny?address=127.0.2.0/24`, { method: "DELETE", headers });
    assert.equal(await status("127.0.2.9"), 200);
    const trail = (await gate.get("/_tidegate/admin/audit", { headers })).json();
    assert.deepEqual(trail.slice(0, 2).map(({ listed }) => [listed.list, listed.note]), [["not-deny", ""], ["deny", "scans"]]);
});

test("an API key is denied and allowed by its id", async () => {
    const id = createHash("sha256").update("a-key").digest("hex");
    await (await gate.kv()).put(`key:${id}`, JSON.stringify({ tier: "free", subject: "a" }));
    const shows = { headers: { "X-API-Key": "a-key" } };
    assert.equal(await status("127.0.0.42", shows), 200);
    assert.equal((await post("deny", { key: id.slice(0, 12) })).status, 200);
    assert.equal(await status("127.0.0.42", shows), 403);
    assert.equal((await post("allow", { key: id })).status, 200);
    for (let n = 0; n < 4; n += 1) assert.equal(await status("127.0.0.43", shows), 200);
});

test("what is wrong is said, and nobody may without the token", async () => {
    assert.equal((await post("deny", { address: "example.com" })).status, 400);
    assert.match((await post("deny", {})).text, /allowed/);
    assert.equal((await gate.get(path)).status, 401);
});

test("what was added outlives a restart, from the first request on", async () => {
    assert.equal((await post("deny", { address: "127.0.3.0/24" })).status, 200);
    await new Promise((done) => setTimeout(done, 1500));
    await gate.restart();
    assert.equal(await status("127.0.3.1"), 403);
});
