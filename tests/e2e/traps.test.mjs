// The wasm dies: whoever is in flight is answered all the same, and nothing that was counted is lost.
//
// With the variable TIDEGATE_TEST_TRAP set, a request with `x-tidegate-test-trap: 1` panics inside the wasm.
import assert from "node:assert/strict";
import { before as beforeAll, beforeEach, test } from "node:test";
import { before, eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const TRAP = { "x-tidegate-test-trap": "1" };
let origin, gate;

beforeAll(async () => {
    origin = await startOrigin();
    origin.on("/slow", async (request, response, seen) => {
        await seen.ended;
        await pause(400);
        response.writeHead(200, { "Cache-Control": "no-store" }).end(`slow ${seen.method} ${seen.body}`);
    });
    gate = await startGate({ config: before(origin.url), env: { TIDEGATE_TEST_TRAP: "1" } });
});
beforeEach(() => origin.clear());

/** How often the wasm has died so far. */
const deaths = () => gate.log().match(/the wasm trapped/g)?.length ?? 0;

/** Has the wasm die, and makes sure that it did. */
async function trap(path = "/x", more = {}) {
    const before = deaths();
    const answer = await gate.get(path, { ...more, headers: TRAP });
    await eventually(() => assert.ok(deaths() > before, "the wasm is to trap"));
    return answer;
}

test("the request that traps goes to the origin, with method, query and body", async () => {
    const answer = await trap("/trapped?a=1", { method: "POST", body: "the body" });
    assert.equal(answer.status, 200);
    assert.equal(answer.text, "origin");
    const { method, url, body, headers } = origin.last();
    assert.deepEqual([method, url, body], ["POST", "/trapped?a=1", "the body"]);
    assert.equal(headers["x-tidegate-test-trap"], undefined);
    assert.match(gate.log(), /panicked at/, "the log has the panic's place");
});

test("what is for tidegate alone goes to no origin past the wasm", async () => {
    for (const path of ["/_tidegate/admin/purge", "//_tidegate/health", "/%5ftidegate/health", "/%5ftidegate/%zz", "/_tidegate;x=1/health", "/x/..;/_tidegate/health", "/x%2f..%2f_tidegate/health", "/_tidegate"]) {
        const answer = await gate.get(path, { headers: { ...TRAP, Authorization: "Bearer the admin's" } });
        assert.deepEqual([answer.status, origin.requests.length], [503, 0], path);
    }
    const headers = { Proxy: "http://evil", "X-Request-Id": "mine", "Cache-Status": "x; hit", Connection: "x-once", "X-Once": "1", "CDN-Loop": "other" };
    assert.equal((await gate.get("/x", { headers: { ...TRAP, ...headers } })).status, 200);
    const got = origin.last().headers;
    for (const name of ["proxy", "x-request-id", "cache-status", "x-once"]) assert.equal(got[name], undefined, name);
    assert.deepEqual([got["cdn-loop"], got.via], ["other, tidegate", "1.1 tidegate"]);
    assert.equal((await gate.get("/x", { headers: { ...TRAP, "CDN-Loop": "tidegate" } })).status, 503);
});

test("the next request gets a fresh instance", async () => {
    await trap();
    const answer = await gate.get("/x");
    assert.equal(answer.status, 200);
    assert.ok(answer.headers["cache-status"], "answered by the wasm again");
});

test("everybody in flight under load is answered while the wasm dies again and again", async () => {
    const before = deaths();
    const jobs = [];
    for (let n = 0; n < 200; n += 1) {
        const kind = n % 10;
        if (kind === 9) jobs.push(gate.get("/x", { headers: TRAP }));
        else if (kind % 3 === 0) jobs.push(gate.get("/slow"));
        else jobs.push(gate.get(`/x?${n}`));
        if (n % 20 === 19) await pause(40);
    }
    const answers = await Promise.all(jobs);
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.deepEqual(new Set(answers.map(({ text }) => text)), new Set(["origin", "slow GET "]));
    await eventually(() => assert.ok(deaths() >= before + 10, `the wasm died ${deaths() - before} times`));
});

test("a streamed download that has begun goes on to its end", async () => {
    origin.on("/stream", async (_, response) => {
        response.writeHead(200, { "Cache-Control": "no-store" });
        for (let n = 0; n < 10; n += 1) {
            response.write("0123456789");
            await pause(40);
        }
        response.end();
    });
    const { response } = await gate.get("/stream", { stream: true });
    await trap();
    assert.equal(Buffer.concat(await Array.fromAsync(response)).length, 100);
});

test("write, write, panic, write gives 3", async () => {
    const from = "127.0.0.77";
    const left = async (headers) => (await gate.get("/api/thing", { from, headers })).headers["x-ratelimit-remaining"];
    assert.equal(await left(), "19");
    assert.equal(await left(), "18");
    await trap();
    assert.equal(await left(), "17");
});

test("write, write, panic inside the object, write gives 3", async () => {
    const from = "127.0.0.78";
    const ask = (headers) => gate.get("/api/thing", { from, headers });
    assert.equal((await ask()).headers["x-ratelimit-remaining"], "19");
    assert.equal((await ask()).headers["x-ratelimit-remaining"], "18");
    assert.equal((await ask({ "x-tidegate-test-trap": "limiter" })).status, 200);
    assert.equal((await ask()).headers["x-ratelimit-remaining"], "17");
});

test("traps are counted", async () => {
    await trap();
    await gate.get("/x");
    await pause(1500);
    await gate.get("/x");
    await pause(1500);
    assert.match((await gate.get("/_tidegate/metrics")).text, /^tidegate_incidents_total\{incident="trap"\} [1-9]/m);
});

test("server.on_trap = \"refuse\" answers 503 instead", async () => {
    const strict = await startGate({ config: before(origin.url, `\n[server]\non_trap = "refuse"\n`), env: { TIDEGATE_TEST_TRAP: "1" } });
    const answer = await strict.get("/x", { headers: TRAP });
    assert.equal(answer.status, 503);
    assert.equal(answer.headers["content-type"], "application/problem+json");
    assert.equal(origin.requests.length, 0);
    await strict.stop();
});

test("without the variable the header does nothing", async () => {
    const plain = await startGate({ config: before(origin.url) });
    const answer = await plain.get("/x", { headers: TRAP });
    assert.equal(answer.status, 200);
    assert.doesNotMatch(plain.log(), /panicked|trapped/);
    await plain.stop();
});
