// Parts of responses: completed, and large ones in slices.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { before, eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const MIB = 1 << 20;
let origin, gate;

/** An origin's rule that does ranges of these bytes, as RFC 9110, section 14 says. */
function ranges(bytes, tag = () => '"v1"') {
    return (request, response) => {
        const headers = { ETag: tag(), "Cache-Control": "public, max-age=300", "Content-Type": "application/octet-stream" };
        const condition = request.headers["if-range"];
        const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
        if (!range || (condition && condition !== tag())) {
            return response.writeHead(200, { ...headers, "Content-Length": bytes.length }).end(bytes);
        }
        const first = Number(range[1]);
        const last = Math.min(range[2] === "" ? Infinity : Number(range[2]), bytes.length - 1);
        const part = bytes.subarray(first, last + 1);
        const told = `bytes ${first}-${last}/${bytes.length}`;
        return response.writeHead(206, { ...headers, "Content-Range": told, "Content-Length": part.length }).end(part);
    };
}

const numbers = (length) => Buffer.from(Uint32Array.from({ length: length / 4 }, (_, at) => at * 2654435761).buffer);
const asked = (path) => origin.to(path).map(({ headers }) => headers.range ?? "all");

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: before(origin.url, `
[cache.default]
kv_admission = "always"
partial = true
[[routes]]
name = "large"
match = { path = "/large/*" }
assets = false
cache = { slice = "1MiB" }
[server]
subrequests_max = 1000
`) });
});

test("a large response comes in slices, each fetched once, also after a restart", async () => {
    const bytes = numbers(5 * MIB + 1000);
    origin.on("/large/a", ranges(bytes));
    const first = await gate.get("/large/a");
    assert.equal(first.status, 200);
    assert.equal(first.headers["content-length"], String(bytes.length));
    assert.ok(first.bytes.equals(bytes));
    const last = `bytes=${5 * MIB}-`;
    const slices = [0, 1, 2, 3, 4].map((at) => `bytes=${at * MIB}-${(at + 1) * MIB - 1}`);
    assert.deepEqual(asked("/large/a"), [...slices, last]);
    await pause(500);
    await gate.restart();
    const part = await gate.get("/large/a", { headers: { Range: `bytes=${2 * MIB - 3}-${3 * MIB + 2}` } });
    assert.equal(part.status, 206);
    assert.ok(part.bytes.equals(bytes.subarray(2 * MIB - 3, 3 * MIB + 3)));
    assert.match(part.headers["cache-status"], /^tidegate; hit; ttl=\d+; detail=colo$/);
    await gate.purgeColo();
    const again = await gate.get("/large/a");
    assert.ok(again.bytes.equals(bytes));
    assert.match(again.headers["cache-status"], /detail=kv$/);
    const several = await gate.get("/large/a", { headers: { Range: "bytes=0-1,1048575-1048577" } });
    assert.equal(several.status, 206);
    assert.ok(several.bytes.includes(bytes.subarray(MIB - 1, MIB + 2)));
    assert.equal(String(several.bytes.length), several.headers["content-length"]);
    assert.equal(origin.to("/large/a").length, 6);
});

test("a response that changes between two slices breaks off", async () => {
    let version = 1;
    const bytes = numbers(4 * MIB);
    const rule = ranges(bytes, () => `"v${version}"`);
    origin.on("/large/b", (request, response) => {
        if (request.headers.range?.startsWith(`bytes=${2 * MIB}-`)) version = 2;
        return rule(request, response);
    });
    await assert.rejects(gate.get("/large/b"));
    const whole = await gate.get("/large/b");
    assert.equal(whole.headers.etag, '"v2"');
    assert.ok(whole.bytes.equals(bytes));
});

test("an origin without ranges is asked once", async () => {
    const bytes = numbers(2 * MIB);
    origin.on("/large/c", { headers: { "Cache-Control": "max-age=300", "Content-Length": bytes.length }, body: bytes });
    assert.ok((await gate.get("/large/c")).bytes.equals(bytes));
    assert.equal(origin.to("/large/c").length, 1);
});

test("a client that goes away in the middle costs no further slices", async () => {
    const bytes = numbers(64 * MIB);
    origin.on("/large/d", ranges(bytes));
    const gone = new AbortController();
    const response = await fetch(`${gate.url}/large/d`, { signal: gone.signal });
    await response.body.getReader().read();
    gone.abort();
    await pause(500);
    const then = origin.to("/large/d").length;
    await pause(500);
    assert.equal(origin.to("/large/d").length, then);
    assert.ok(then < 40, `${then} slices`);
});

test("many who want a cold response at once ask for each slice once", async () => {
    const bytes = numbers(5 * MIB + 1000);
    origin.on("/large/e", ranges(bytes));
    const all = await Promise.all(Array.from({ length: 20 }, () => gate.get("/large/e")));
    assert.ok(all.every((one) => one.bytes.equals(bytes)));
    assert.equal(new Set(asked("/large/e")).size, 6);
    assert.equal(asked("/large/e").length, 6);
});

test("a slice of another length than it says breaks off there, and is not stored", async () => {
    const bytes = numbers(4 * MIB);
    for (const [path, sent] of [["/large/short", 1000], ["/large/long", MIB + 1000]]) {
        let wrong = true;
        const rule = ranges(bytes);
        origin.on(path, (request, response) => {
            if (!wrong || !request.headers.range?.startsWith(`bytes=${MIB}-`)) return rule(request, response);
            wrong = false;
            const told = `bytes ${MIB}-${2 * MIB - 1}/${bytes.length}`;
            const headers = { ETag: '"v1"', "Cache-Control": "public, max-age=300", "Content-Range": told };
            return response.writeHead(206, headers).end(bytes.subarray(MIB, MIB + sent));
        });
        const broken = await fetch(`${gate.url}${path}`);
        await assert.rejects(broken.arrayBuffer(), path);
        await pause(500);
        assert.ok((await gate.get(path)).bytes.equals(bytes), path);
        assert.equal(asked(path).length, 5, path);
    }
});

test("an origin that sends the whole for a later slice is taken at its word", async () => {
    const bytes = numbers(4 * MIB);
    const rule = ranges(bytes);
    origin.on("/large/whole", (request, response) => {
        if (!request.headers.range?.startsWith("bytes=0-")) delete request.headers.range;
        return rule(request, response);
    });
    for (let times = 0; times < 2; times += 1) assert.ok((await gate.get("/large/whole")).bytes.equals(bytes));
    const part = await gate.get("/large/whole", { headers: { Range: `bytes=${2 * MIB}-` } });
    assert.ok(part.bytes.equals(bytes.subarray(2 * MIB)));
});

test("a stored part is completed by asking for the rest", async () => {
    const bytes = numbers(40_000);
    origin.on("/part", ranges(bytes));
    const part = await gate.get("/part", { headers: { Range: "bytes=0-9999" } });
    assert.equal(part.status, 206);
    await eventually(async () => {
        const within = await gate.get("/part", { headers: { Range: "bytes=5-9" } });
        assert.match(within.headers["cache-status"], /^tidegate; hit/);
    });
    const before = origin.to("/part").length;
    const whole = await gate.get("/part");
    assert.equal(whole.status, 200);
    assert.ok(whole.bytes.equals(bytes));
    assert.equal(origin.last().headers.range, "bytes=10000-");
    assert.equal(origin.last().headers["if-range"], '"v1"');
    assert.equal(origin.to("/part").length, before + 1);
    await eventually(async () => assert.match((await gate.get("/part")).headers["cache-status"], /detail=memory$/));
});

test("what came of a body that broke off is gone on with", async () => {
    const bytes = numbers(40_000);
    const rule = ranges(bytes);
    origin.on("/broken", (request, response) => {
        if (request.headers.range) return rule(request, response);
        response.writeHead(200, { ETag: '"v1"', "Cache-Control": "max-age=300", "Content-Length": bytes.length });
        response.write(bytes.subarray(0, 20_000));
        return setTimeout(() => response.destroy(), 100);
    });
    await assert.rejects(gate.get("/broken"));
    await pause(200);
    const whole = await gate.get("/broken");
    assert.ok(whole.bytes.equals(bytes));
    assert.equal(origin.last().headers.range, "bytes=20000-");
});
