// What is stored, where it is stored, and what is never shared.
import assert from "node:assert/strict";
import { before as beforeAll, beforeEach, describe, test } from "node:test";
import { before, eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const KEPT = { "Cache-Control": "public, max-age=300", ETag: '"v1"', "Content-Type": "text/plain" };
let origin, gate;
let paths = 0;

/** A path that nothing has been stored for. */
const fresh = (rule) => {
    const path = `/page-${(paths += 1)}`;
    origin.on(path, rule);
    return path;
};

beforeAll(async () => {
    origin = await startOrigin();
    // Every stored response is worth a KV write here, so that one request fills all layers.
    gate = await startGate({ config: before(origin.url, `\n[cache.default]\nkv_admission = "always"\n`), fault: true });
});
beforeEach(() => origin.clear());

/** Asks until the answer came out of a layer. */
const hit = (path, more) => eventually(async () => {
    const answer = await gate.get(path, more);
    assert.match(answer.headers["cache-status"], /^tidegate; hit/);
    return answer;
});

test("the first request is a miss, the second a hit from memory", async () => {
    const path = fresh({ headers: KEPT, body: "text" });
    const miss = await gate.get(path);
    assert.match(miss.headers["cache-status"], /^tidegate; fwd=uri-miss; fwd-status=200; stored/);
    const again = await hit(path);
    assert.match(again.headers["cache-status"], /^tidegate; hit; ttl=(300|29\d); detail=memory$/);
    assert.equal(again.text, "text");
    for (const name of ["etag", "content-type", "cache-control"]) assert.equal(again.headers[name], miss.headers[name], name);
    assert.equal(origin.to(path).length, 1);
});

test("Age grows", async () => {
    const path = fresh({ headers: { ...KEPT, Age: "10" }, body: "text" });
    await gate.get(path);
    const first = Number((await hit(path)).headers.age);
    assert.ok(first >= 10 && first <= 12, `Age ${first}`);
    await pause(1200);
    assert.ok(Number((await hit(path)).headers.age) > first);
});

describe("preconditions are answered from the cache", () => {
    const cases = [
        ["a matching entity tag", { "If-None-Match": '"v1"' }, 304],
        ["a weak one", { "If-None-Match": 'W/"v1"' }, 304],
        ["one of a list", { "If-None-Match": '"v0", "v1"' }, 304],
        ["any", { "If-None-Match": "*" }, 304],
        ["another one", { "If-None-Match": '"v2"' }, 200],
        ["no change since", { "If-Modified-Since": "Tue, 01 Sep 2026 10:00:00 GMT" }, 304],
        ["a change since", { "If-Modified-Since": "Tue, 01 Sep 2026 09:59:59 GMT" }, 200],
        ["the entity tag before the date", { "If-None-Match": '"v2"', "If-Modified-Since": "Tue, 01 Sep 2026 10:00:00 GMT" }, 200],
    ];
    for (const [what, headers, status] of cases) {
        test(`${what}: ${status}`, async () => {
            const path = fresh({ headers: { ...KEPT, "Last-Modified": "Tue, 01 Sep 2026 10:00:00 GMT" }, body: "text" });
            await gate.get(path);
            await hit(path);
            const answer = await gate.get(path, { headers });
            assert.equal(answer.status, status);
            assert.equal(answer.headers.etag, '"v1"');
            assert.equal(answer.text, status === 304 ? "" : "text");
            assert.equal(origin.to(path).length, 1);
        });
    }
});

describe("layers", () => {
    test("are read in the order memory, colo, kv, and filled on the way back", async () => {
        const path = fresh({ headers: KEPT, body: "text" });
        const from = async (layer) => {
            const answer = await gate.get(path);
            assert.match(answer.headers["cache-status"], new RegExp(`detail=${layer}$`));
            assert.equal(answer.text, "text");
            assert.equal(answer.headers.etag, '"v1"');
        };
        await gate.get(path);
        await hit(path);
        await eventually(async () => assert.ok((await (await gate.kv()).list()).keys.length > 0));
        await pause(200);
        await gate.restart();
        await from("colo");
        await eventually(() => from("memory"));
        await gate.restart();
        await gate.purgeColo();
        await from("kv");
        await eventually(() => from("memory"));
        await pause(200);
        await gate.restart();
        await from("colo");
        assert.equal(origin.to(path).length, 1);
    });

    test("a KV that fails, hangs or is slow counts as a miss", async () => {
        for (const kv of ["fail", "hang", 1000]) {
            await gate.fault({ kv });
            const path = fresh({ headers: KEPT, body: "text" });
            const answer = await gate.get(path);
            assert.equal(answer.status, 200, `KV: ${kv}`);
            assert.equal(answer.text, "text");
            assert.ok(answer.ms < 600, `KV: ${kv}: ${answer.ms} ms`);
        }
        await gate.fault({});
    });

    test("bytes are stored as they came", async () => {
        const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 31) % 256));
        const path = fresh((_, response) => response.writeHead(200, { ...KEPT, "Content-Type": "application/octet-stream", "Content-Length": bytes.length }).end(bytes));
        await gate.get(path);
        assert.ok((await hit(path)).bytes.equals(bytes));
        await pause(300);
        await gate.restart();
        const answer = await gate.get(path);
        assert.match(answer.headers["cache-status"], /detail=colo/);
        assert.ok(answer.bytes.equals(bytes));
        assert.equal(answer.headers["content-length"], String(bytes.length));
    });

    // The longer one streams past memory into the stores, which hear of its end only when it comes.
    for (const bytes of [1000, 640_000]) {
        test(`a body of ${bytes} bytes that broke off is not stored`, async () => {
            const path = fresh((_, response) => {
                response.writeHead(200, { ...KEPT, "Content-Length": bytes });
                response.write("x".repeat(bytes / 2));
                setTimeout(() => response.destroy(), 30);
            });
            await assert.rejects(gate.get(path));
            await pause(600);
            await assert.rejects(gate.get(path));
            assert.equal(origin.to(path).length, 2);
        });
    }
});

for (const layer of ["colo", "kv"]) {
    test(`what ${layer} has got of a large body that broke off never passes for the whole, also where nobody lived to remove it`, async () => {
        const apart = await startGate({ config: before(origin.url, `\n[cache.default]\nkv_admission = "always"\nlayers = ["${layer}"]\n`) });
        const WHOLE = 400_000;
        for (const dies of [false, true]) {
            const path = fresh((_, response, seen) => {
                response.writeHead(200, { ...KEPT, "Content-Length": WHOLE });
                if (origin.to(path).length > 1) return response.end("x".repeat(WHOLE));
                response.write("x".repeat(WHOLE / 2));
                return setTimeout(() => response.destroy(), 30);
            });
            await assert.rejects(apart.get(path));
            if (dies) {
                process.kill(apart.pid, "SIGKILL");
                await apart.restart();
            }
            for (let nth = 0; nth < 20; nth += 1) {
                const answer = await apart.get(path).catch(() => null);
                // It breaks off here, too, or is whole.
                if (answer) assert.deepEqual([answer.status, answer.bytes.length, answer.headers["content-length"]], [200, WHOLE, String(WHOLE)]);
            }
        }
    });
}

test("HEAD says of what is stored what GET does, also where GET is encoded", async () => {
    const path = fresh({ headers: { ...KEPT, "Content-Type": "text/html" }, body: "text ".repeat(1000) });
    await gate.get(path);
    const headers = { "Accept-Encoding": "gzip" };
    const whole = await hit(path, { headers });
    const head = await gate.get(path, { headers, method: "HEAD" });
    assert.equal(whole.headers["content-encoding"], "gzip");
    for (const name of ["content-type", "content-encoding", "content-length", "vary", "etag"]) assert.equal(head.headers[name], whole.headers[name], name);
});

describe("never shared", () => {
    const cases = [
        ["private", { headers: { ...KEPT, "Cache-Control": "private, max-age=300" } }, {}],
        ["no-store", { headers: { ...KEPT, "Cache-Control": "no-store" } }, {}],
        ["a response that sets a cookie", { headers: { ...KEPT, "Set-Cookie": "id=1" } }, {}],
        ["a response to a request with Authorization", { headers: { ...KEPT, "Cache-Control": "max-age=300" } }, { Authorization: "Basic dTpw" }],
        ["a response without any lifetime or validator", { headers: {} }, {}],
        ["Vary: *", { headers: { ...KEPT, Vary: "*" } }, {}],
        ["a POST", { headers: KEPT }, {}, "POST"],
    ];
    for (const [what, rule, headers, method = "GET"] of cases) {
        test(what, async () => {
            const path = fresh({ ...rule, body: "mine" });
            for (let i = 0; i < 3; i += 1) {
                const answer = await gate.get(path, { headers, method });
                assert.doesNotMatch(answer.headers["cache-status"], /; hit|; stored/);
                await pause(50);
            }
            await gate.get(path);
            assert.equal(origin.to(path).length, 4);
        });
    }

    test("public lets a response to a request with Authorization be shared", async () => {
        const path = fresh({ headers: KEPT, body: "ours" });
        await gate.get(path, { headers: { Authorization: "Basic dTpw" } });
        await hit(path);
        assert.equal(origin.to(path).length, 1);
    });

    test("one query's response for another query", async () => {
        const path = fresh((request, response) => response.writeHead(200, KEPT).end(request.url));
        await gate.get(`${path}?a=1`);
        await hit(`${path}?a=1`);
        assert.equal((await gate.get(`${path}?a=2`)).text, `${path}?a=2`);
        assert.equal((await hit(`${path}?a=1`)).text, `${path}?a=1`);
    });
});

test("Vary keeps variants apart, and both of them", async () => {
    const path = fresh((request, response) => response.writeHead(200, { ...KEPT, Vary: "Accept-Language" }).end(request.headers["accept-language"]));
    const speak = (language) => ({ headers: { "Accept-Language": language } });
    await gate.get(path, speak("de"));
    const other = await gate.get(path, speak("fr"));
    assert.match(other.headers["cache-status"], /fwd=(vary-miss|miss|uri-miss)/);
    for (const language of ["de", "fr"]) {
        const answer = await hit(path, speak(language));
        assert.equal(answer.text, language);
        assert.match(answer.headers.vary, /accept-language/i);
    }
    assert.equal(origin.to(path).length, 2);
});

test("a stale response is revalidated, and freshened by a 304", async () => {
    const path = fresh((request, response) => {
        const known = request.headers["if-none-match"] === '"v1"';
        response.writeHead(known ? 304 : 200, { ...KEPT, "Cache-Control": "max-age=1" }).end(known ? undefined : "text");
    });
    await gate.get(path);
    await hit(path);
    await pause(2100);
    const answer = await gate.get(path);
    assert.equal(answer.status, 200);
    assert.equal(answer.text, "text");
    assert.match(answer.headers["cache-status"], /^tidegate; fwd=stale; fwd-status=304/);
});

describe("assets", () => {
    const typed = (type, body = "x") => ({ headers: { "Content-Type": type }, body });
    const cases = [
        ["/app.3f2a9c1b.js", "text/javascript", /^public, max-age=31536000, immutable$/],
        ["/name-BX7d2kQ1.css", "text/css", /^public, max-age=31536000, immutable$/],
        ["/jquery.min.js", "text/javascript", /max-age=2592000/],
        ["/photo.png", "image/png", /max-age=31536000/],
        ["/report-20240101.pdf", "application/pdf", /no-cache/],
    ];
    for (const [path, type, expected] of cases) {
        test(`${path} gets ${expected.source}`, async () => {
            origin.on(path, typed(type));
            const { headers } = await gate.get(path);
            assert.match(headers["cache-control"], expected);
            if (path === "/jquery.min.js" || path.startsWith("/report")) assert.doesNotMatch(headers["cache-control"], /immutable/);
        });
    }

    test("a page under the name of a style sheet is no asset", async () => {
        origin.on("/account.css", typed("text/html", "secret"));
        await gate.get("/account.css");
        await pause(100);
        const answer = await gate.get("/account.css");
        assert.doesNotMatch(answer.headers["cache-control"] ?? "", /max-age=[1-9]/);
        assert.equal(origin.to("/account.css").length, 2);
    });

    test("what an origin says about caching stands", async () => {
        origin.on("/own.png", { headers: { "Content-Type": "image/png", "Cache-Control": "public, max-age=7" }, body: "x" });
        assert.equal((await gate.get("/own.png")).headers["cache-control"], "public, max-age=7");
    });
});
