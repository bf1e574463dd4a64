// Some cells of docs/stale.md before a real origin, and the file that answers when nothing else can.
import assert from "node:assert/strict";
import { after, before as beforeAll, test } from "node:test";
import { eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, gate;
beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({
        config: `
[origins.default]
url = "${origin.url}"
attempt_timeout = "300ms"
total_timeout = "1s"
attempts_max = 2
breaker = { failures = 0, failure_ratio = 0.0 }
[[routes]]
name = "pages"
match = { path = "/pages/*" }
static_fallback = { file = "index.html", status = 503 }
[[routes]]
name = "gone"
match = { path = "/gone/*" }
static_fallback = { file = "no-such-file.html", body = "back soon", status = 500 }
[[routes]]
name = "rest"
`,
    });
});
after(() => gate.stop());

const broken = { erroring: { status: 503, body: "broken" }, slow: () => {}, down: (request) => request.socket.destroy() };

/** Stores a response under this path, whose stale-if-error is that long. */
async function store(path, seconds) {
    origin.on(path, { headers: { "Cache-Control": `max-age=1, stale-if-error=${seconds}`, "Content-Type": "text/plain" }, body: "old" });
    await gate.get(path);
    await eventually(async () => assert.match((await gate.get(path)).headers["cache-status"], /hit/));
}

for (const [how, rule] of Object.entries(broken)) {
    test(`sie, ${how}: stale`, async () => {
        await store(`/sie-${how}`, 600);
        await pause(2100);
        origin.on(`/sie-${how}`, rule);
        const answer = await gate.get(`/sie-${how}`);
        assert.deepEqual([answer.status, answer.text], [200, "old"]);
        assert.match(answer.headers["cache-status"], /fwd=stale;.*detail=sie$/);
    });

    test(`expired, ${how}, with a file: the file`, async () => {
        await store(`/pages/${how}`, 0);
        await pause(2100);
        origin.on(`/pages/${how}`, rule);
        const answer = await gate.get(`/pages/${how}`);
        assert.equal(answer.status, 503);
        assert.match(answer.headers["content-type"], /^text\/html/);
        assert.match(answer.text, /^<!doctype html>/i);
        assert.match(answer.headers["proxy-status"], /^tidegate; /);
        assert.equal(answer.headers["cache-control"], "no-store");
    });
}

test("a file that is not there gives way to the body", async () => {
    origin.on("/gone/x", broken.down);
    const answer = await gate.get("/gone/x");
    assert.deepEqual([answer.status, answer.text], [500, "back soon"]);
    assert.match(gate.log(), /fallback-missing/);
});

test("HEAD gets the head of the file", async () => {
    origin.on("/pages/head", broken.down);
    const answer = await gate.get("/pages/head", { method: "HEAD" });
    assert.equal(answer.status, 503);
    assert.match(answer.headers["content-type"], /^text\/html/);
    assert.equal(answer.text, "");
});
