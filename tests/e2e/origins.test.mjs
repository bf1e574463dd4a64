// What happens when an origin is slow, broken or gone.
import assert from "node:assert/strict";
import { afterEach, before as beforeAll, beforeEach, describe, test } from "node:test";
import { before, eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const two = (primary, fallback, more = "") => `
[origins.default]
${more}
[[origins.default.endpoints]]
name = "primary"
url = "${primary.url}"
[[origins.default.endpoints]]
name = "fallback"
url = "${fallback.url}"
priority = 1
`;

describe("two endpoints", () => {
    let primary, fallback, gate;
    beforeAll(async () => {
        primary = await startOrigin({ name: "primary" });
        fallback = await startOrigin({ name: "fallback" });
        gate = await startGate({ config: two(primary, fallback, `attempt_timeout = "300ms"\ntotal_timeout = "3s"`) });
    });
    beforeEach(() => (primary.clear(), fallback.clear()));
    afterEach(async () => {
        if (!primary.server.listening) await primary.revive();
        if (!fallback.server.listening) await fallback.revive();
        await gate.restart();
    });

    test("the primary answers as long as it can", async () => {
        for (let n = 0; n < 5; n += 1) assert.equal((await gate.get("/x")).text, "primary");
        assert.equal(fallback.requests.length, 0);
    });

    test("the primary is killed in mid-run: everybody is answered, and health tells", async () => {
        let done = false;
        const answers = [];
        const running = Promise.all(Array.from({ length: 8 }, async () => {
            while (!done) answers.push(await gate.get("/x"));
        }));
        await pause(300);
        await primary.kill();
        await pause(700);
        done = true;
        await running;
        assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
        assert.equal(answers.at(-1).text, "fallback");
        const health = await eventually(async () => {
            const answer = (await gate.get("/_tidegate/health")).json();
            assert.equal(answer.status, "degraded");
            return answer;
        });
        assert.ok(health.reasons.some(({ detail }) => /primary/.test(detail)), JSON.stringify(health));
        const before = answers.length;
        primary.clear();
        for (let n = 0; n < 10; n += 1) await gate.get("/x");
        assert.equal(primary.requests.length, 0, `the breaker is open after ${before} requests`);
    });

    for (const status of [502, 503, 504]) {
        test(`a ${status} of the primary is answered by the fallback`, async () => {
            primary.on(`/s${status}`, { status, body: "broken" });
            const answer = await gate.get(`/s${status}`);
            assert.equal(answer.status, 200);
            assert.equal(answer.text, "fallback");
        });
    }

    test("a 500 and a 404 are the origin's answer", async () => {
        for (const status of [500, 404]) {
            primary.on(`/s${status}`, { status, headers: { "Cache-Control": "no-store" }, body: "mine" });
            assert.equal((await gate.get(`/s${status}`)).status, status);
        }
        assert.equal(fallback.requests.length, 0);
    });

    test("a primary that is too slow is answered by the fallback within the deadline", async () => {
        primary.on("/slow", () => {});
        const answer = await gate.get("/slow");
        assert.equal(answer.text, "fallback");
        assert.ok(answer.ms < 1500, `${answer.ms} ms`);
    });

    test("a POST is not sent twice once an origin has had it", async () => {
        primary.on("/order", (request) => request.once("end", () => request.socket.destroy()));
        const answer = await gate.get("/order", { method: "POST", body: "one" });
        assert.equal(answer.status, 502);
        assert.equal(primary.to("/order").length, 1);
        assert.equal(fallback.to("/order").length, 0);
    });

    test("a PUT with a small body is sent again with the same body", async () => {
        primary.on("/put", (request) => request.once("end", () => request.socket.destroy()));
        const answer = await gate.get("/put", { method: "PUT", body: "the body" });
        assert.equal(answer.text, "fallback");
        assert.equal(fallback.to("/put")[0].body, "the body");
    });

    test("a stored response stands in when all are dead; where there is none, a problem document", async () => {
        const headers = { "Cache-Control": "max-age=1, stale-if-error=600", "Content-Type": "text/plain" };
        primary.on("/kept", { headers, body: "kept" });
        await gate.get("/kept");
        await eventually(async () => assert.match((await gate.get("/kept")).headers["cache-status"], /hit/));
        await primary.kill();
        await fallback.kill();
        await pause(2000);
        const stale = await gate.get("/kept");
        assert.equal(stale.status, 200);
        assert.equal(stale.text, "kept");
        assert.match(stale.headers["cache-status"], /^tidegate; fwd=stale;.*ttl=-\d+; detail=sie$/);
        const answer = await gate.get("/never-seen");
        assert.ok([502, 503, 504].includes(answer.status), String(answer.status));
        assert.equal(answer.headers["content-type"], "application/problem+json");
        assert.equal(answer.headers["cache-control"], "no-store");
        assert.match(answer.headers["proxy-status"], /^tidegate; error=/);
        assert.equal(answer.json().status, answer.status);
    });

    test("an ejected primary comes back", async () => {
        await gate.restart({ config: two(primary, fallback, `[origins.default.breaker]\nejection = "1s"\nfailures = 2\n`) });
        await primary.kill();
        for (let n = 0; n < 5; n += 1) assert.equal((await gate.get("/x")).text, "fallback");
        await primary.revive();
        await eventually(async () => assert.equal((await gate.get("/x")).text, "primary"), 8000);
    });
});

describe("one endpoint", () => {
    test("a slow origin is a 504 with Proxy-Status", async () => {
        const origin = await startOrigin();
        origin.on("/slow", () => {});
        const gate = await startGate({ config: before(origin.url, `attempt_timeout = "200ms"\ntotal_timeout = "700ms"\n`) });
        const answer = await gate.get("/slow");
        assert.equal(answer.status, 504);
        assert.match(answer.headers["proxy-status"], /^tidegate; error=http_response_timeout/);
        assert.ok(answer.ms < 2000, `${answer.ms} ms`);
        await gate.stop();
    });

    test("no origin at all is a 502 with Proxy-Status", async () => {
        const origin = await startOrigin();
        await origin.kill();
        const gate = await startGate({ config: before(origin.url) });
        const answer = await gate.get("/x");
        assert.equal(answer.status, 502);
        assert.match(answer.headers["proxy-status"], /^tidegate; error=/);
        await gate.stop();
    });
});
