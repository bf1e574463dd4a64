// Bodies too large for memory: they stay in colo and KV, and are confirmed there.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { before, eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const LARGE = Buffer.from(Uint32Array.from({ length: 1 << 19 }, (_, at) => at * 2654435761).buffer);
let origin, gate;

beforeAll(async () => {
    origin = await startOrigin();
    // Each body passes a watch, so that no stream that is stored is the platform's own.
    const watched = `body_idle_timeout = "5s"\n[cache.default]\nkv_admission = "always"\n`;
    gate = await startGate({ config: before(origin.url, watched) });
});

/** Answers as RFC 9110, section 13 says; what comes whole is `age` seconds old. */
const confirming = (age) => (request, response) => {
    const headers = { ETag: '"v1"', "Cache-Control": "public, max-age=100" };
    if (request.headers["if-none-match"] === '"v1"') return response.writeHead(304, { ...headers, "X-Confirmed": "yes" }).end();
    return response.writeHead(200, { ...headers, Age: age, "Content-Length": LARGE.length }).end(LARGE);
};

const hit = (path, layer, more) => eventually(async () => {
    const answer = await gate.get(path, more);
    assert.match(answer.headers["cache-status"], new RegExp(`^tidegate; hit; ttl=\\d+; detail=${layer}`));
    return answer;
});

test("a large body that passed a watch is stored in colo and KV, and cut from there", async () => {
    origin.on("/kept", confirming(0));
    assert.ok((await gate.get("/kept")).bytes.equals(LARGE));
    assert.ok((await hit("/kept", "colo")).bytes.equals(LARGE));
    await gate.restart();
    await gate.purgeColo();
    assert.ok((await hit("/kept", "kv")).bytes.equals(LARGE));
    const part = await hit("/kept", "kv", { headers: { Range: "bytes=1000000-1000099" } });
    assert.equal(part.status, 206);
    assert.ok(part.bytes.equals(LARGE.subarray(1000000, 1000100)));
    assert.equal(origin.to("/kept").length, 1);
});

test("a 304 freshens a large body where it lies, for every isolate", async () => {
    origin.on("/stale", confirming(99));
    await gate.get("/stale");
    await pause(1100);
    const confirmed = await eventually(async () => {
        const answer = await gate.get("/stale");
        assert.match(answer.headers["cache-status"], /fwd=stale; fwd-status=304; stored; ttl=100/);
        return answer;
    });
    assert.ok(confirmed.bytes.equals(LARGE));
    const asked = origin.to("/stale").length;
    for (const layer of ["colo", "kv"]) {
        if (layer === "kv") await gate.restart();
        if (layer === "kv") await gate.purgeColo();
        const answer = await hit("/stale", layer);
        assert.ok(answer.bytes.equals(LARGE));
        assert.equal(answer.headers["x-confirmed"], "yes");
    }
    assert.equal(origin.to("/stale").length, asked);
});
