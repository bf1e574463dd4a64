// One request to the origin for several isolates: `collapse = "global"`, with real objects.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { before, eventually, pause, send, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, gate;

beforeAll(async () => {
    origin = await startOrigin();
    const config = before(origin.url, `
[cache.default]
collapse = "global"
collapse_wait = "2s"
layers = ["memory"]
key = { body = ["POST"] }
`);
    gate = await startGate({ config, fault: true, twin: true });
});

/** A rule that takes a while. */
const slowly = (ms, headers, body) => async (request, response, seen) => {
    await seen.ended;
    await pause(ms);
    response.writeHead(200, headers).end(body ?? seen.body);
};

/** A request at one of the isolates; the same host, whichever it is. */
const ask = (url, path, more) => send(url + path, { ...more, headers: { Host: "edge.example" } });

/** So many requests at each isolate, at once. */
const stampede = (path, requests, more) => Promise.all(Array.from({ length: 2 * requests }, (_, nth) => ask(nth % 2 ? gate.twin : gate.url, path, more)));

test("two isolates that are asked for the same ask the origin once", async () => {
    const body = "\u00e4 body of some length ".repeat(5000);
    origin.on("/once", slowly(300, { "Cache-Control": "max-age=60", ETag: '"a"' }, body));
    const answers = await stampede("/once", 30);
    assert.ok(answers.every(({ status, text }) => status === 200 && text === body));
    assert.equal(origin.to("/once").length, 1);
    const told = answers.map(({ headers }) => headers["cache-status"]);
    assert.equal(told.filter((one) => one.includes("collapsed")).length, 59);
    assert.equal(told.filter((one) => one === "tidegate; hit; collapsed; ttl=60; detail=shield").length, 1, told.join("\n"));
});

test("an isolate that comes later gets what another one has just got", async () => {
    origin.on("/late", { headers: { "Cache-Control": "max-age=60" }, body: "late" });
    await ask(gate.url, "/late");
    await pause(200);
    const answer = await ask(gate.twin, "/late");
    assert.match(answer.headers["cache-status"], /detail=shield/);
    assert.deepEqual([answer.text, origin.to("/late").length], ["late", 1]);
});

test("a POST that is keyed by its content is collapsed", async () => {
    origin.on("/search", slowly(300, { "Cache-Control": "max-age=60" }));
    const answers = await stampede("/search", 10, { method: "POST", body: "a question" });
    assert.ok(answers.every(({ text }) => text === "a question"));
    assert.equal(origin.to("/search").length, 1);
});

test("what can't be shared lets the others go, and is remembered", async () => {
    origin.on("/private", slowly(300, { "Cache-Control": "private, max-age=60" }, "mine"));
    await stampede("/private", 5);
    assert.equal(origin.to("/private").length, 10);
    const started = performance.now();
    await stampede("/private", 5);
    assert.ok(performance.now() - started < 1500);
    assert.equal(origin.to("/private").length, 20);
});

test("whoever waits too long goes itself", async () => {
    origin.on("/slow", slowly(3500, { "Cache-Control": "max-age=60" }, "slow"));
    const leader = ask(gate.url, "/slow");
    await pause(200);
    origin.on("/slow", { headers: { "Cache-Control": "max-age=60" }, body: "quick" });
    assert.equal((await ask(gate.twin, "/slow")).text, "quick");
    assert.equal((await leader).text, "slow");
});

test("an object that fails costs one request to the origin for each isolate, and no answer", async () => {
    await gate.fault({ shield: "fail" });
    await send(`${gate.twin}/__fault`, { method: "POST", body: JSON.stringify({ shield: "fail" }) });
    origin.on("/broken", slowly(300, { "Cache-Control": "max-age=60" }, "well"));
    const answers = await stampede("/broken", 10);
    assert.ok(answers.every(({ text }) => text === "well"));
    assert.equal(origin.to("/broken").length, 2);
    await eventually(() => assert.match(gate.log(), /shield-unreachable/));
});
