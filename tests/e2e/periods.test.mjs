// Quotas by the calendar and of requests in flight, in workerd.
import assert from "node:assert/strict";
import http from "node:http";
import { before as beforeAll, test } from "node:test";
import { before, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const config = (url) => before(url, `
[limits.policies.day]
quota = "2/day"
algorithm = "daily"
resets_at = "06:30"
[limits.policies.month]
quota = "500/month"
algorithm = "monthly"
partition = "global"
[limits.policies.at-once]
quota = "3/30s"
algorithm = "concurrency"
partition = "global"
[[routes]]
name = "day"
match = { path = "/day" }
limits = ["day", "month"]
cache = "off"
[[routes]]
name = "at-once"
match = { path = "/at-once" }
limits = ["at-once"]
`);

let origin, gate;
const open = [];

beforeAll(async () => {
    origin = await startOrigin();
    origin.on("/at-once", (request, response) => {
        response.writeHead(200, { "content-type": "text/plain", "cache-control": "no-store" });
        response.write("a");
        open.push(response);
    });
    gate = await startGate({ config: config(origin.url) });
});

test("a daily and a monthly quota say how long their windows are and when they begin anew", async () => {
    await gate.get("/day");
    await gate.get("/day");
    const { status, headers, text } = await gate.get("/day");
    const now = Date.now() / 1000;
    assert.equal(status, 429);
    const today = new Date();
    const days = new Date(Date.UTC(today.getUTCFullYear(), today.getUTCMonth() + 1, 0)).getUTCDate();
    assert.equal(headers["ratelimit-policy"], `"day";q=2;w=86400, "month";q=500;w=${days * 86_400}`);
    const reset = Number(headers["x-ratelimit-reset"]);
    // A moment may pass between the object's answer and the client's, and never makes it earlier.
    assert.ok([0, 1].includes((reset % 86_400) - (6 * 3600 + 30 * 60)), `${reset}`);
    assert.ok(reset > now && reset <= now + 86_401, `${reset}`);
    assert.ok(Math.abs(Number(headers["retry-after"]) - (reset - now)) <= 1.5, headers["retry-after"]);
    assert.match(text, /2 requests per day on tier anonymous/);
});

test("requests in flight are counted until their responses have ended", async () => {
    const started = Array.from({ length: 3 }, () => fetch(`${gate.url}/at-once`));
    const answers = await Promise.all(started);
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200]);
    const refused = await gate.get("/at-once");
    assert.equal(refused.status, 429);
    assert.equal(refused.headers["ratelimit-policy"], '"at-once";q=3;qu="concurrent-requests"');
    assert.ok(Number(refused.headers["retry-after"]) <= 30, refused.headers["retry-after"]);
    open[0].end();
    await answers[0].text();
    await pause(500);
    const next = http.get(`${gate.url}/at-once`, { agent: false });
    next.on("error", () => {});
    const status = await new Promise((done) => next.on("response", (response) => done(response.on("error", () => {}).statusCode)));
    assert.equal(status, 200);
    assert.equal((await gate.get("/at-once")).status, 429);
    // One that goes away gives back what it took, too.
    next.socket.resetAndDestroy();
    await pause(500);
    const last = await fetch(`${gate.url}/at-once`);
    assert.equal(last.status, 200);
    open.forEach((response) => response.end());
    await last.text();
});
