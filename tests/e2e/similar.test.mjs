// Answers to prompts that are nearly the same, with the platform's own Cache API between two isolates.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { before, eventually, pause, send, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const ROUTES = `
[[routes]]
name = "shadow"
match = { path = "/shadow" }
cache = { key = { body = ["POST"] }, similar = { mode = "shadow" } }
[[routes]]
name = "ai"
match = { path = "/ai" }
cache = { key = { body = ["POST"] }, similar = {} }
[[routes]]
name = "rest"
`;
const FIRST = "Please explain to me in a few short sentences how the tides of the sea come about and why they differ";
const NEARLY = "please explain to me, in a few short sentences, how tides of the sea come about and why they differ.";
const OTHER = "Write a poem about a gate that opens only for those who come with the tide";

let origin, gate;
let answers = 0;

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: before(origin.url, ROUTES), fault: true, twin: true, env: { RATE_LIMIT_ENABLED: "false" } });
    const answer = async (request, response, seen) => {
        await seen.ended;
        response.writeHead(200, { "Cache-Control": "max-age=60", "Content-Type": "text/plain" }).end(`answer ${(answers += 1)}`);
    };
    for (const path of ["/ai", "/shadow"]) origin.on(path, answer);
});

/** A prompt at one of the isolates; the same host, whichever it is. */
const ask = (prompt, { at = gate.url, path = "/ai", model = "m" } = {}) => send(at + path, {
    method: "POST",
    headers: { Host: "edge.example", "Content-Type": "application/json" },
    body: JSON.stringify({ model, temperature: 0.7, messages: [{ role: "user", content: prompt }] }),
});
const metric = async (outcome) => {
    const { text } = await gate.get("/_tidegate/metrics");
    return Number(new RegExp(`^tidegate_similar_prompts_total\\{outcome="${outcome}"\\} (\\d+)`, "m").exec(text)?.[1] ?? 0);
};

test("a similar prompt gets the answer and is told so; another one, or another model's, does not", async () => {
    const first = await ask(FIRST);
    assert.equal(first.headers["x-tidegate-similarity"], undefined);
    await eventually(async () => {
        const nearly = await ask(NEARLY);
        assert.equal(nearly.text, first.text);
        assert.match(nearly.headers["cache-status"], /^tidegate; hit; ttl=\d+; detail=similar$/);
        assert.equal(nearly.headers["x-tidegate-similarity"], "0.93");
    });
    assert.match((await ask(FIRST)).headers["cache-status"], /^tidegate; hit; ttl=\d+; detail=memory$/);
    for (const [prompt, more] of [[OTHER, {}], [NEARLY, { model: "n" }], [`${NEARLY} 7`, {}]]) {
        const answer = await ask(prompt, more);
        assert.match(answer.headers["cache-status"], /fwd=uri-miss/, prompt);
        assert.notEqual(answer.text, first.text);
    }
    await eventually(async () => assert.ok((await metric("answered")) >= 1));
});

test("another isolate of the colo finds it there", async () => {
    const prompt = "Name the three largest rivers of Europe and the seas they flow into, from north to south";
    const first = await ask(prompt);
    await eventually(async () => {
        const there = await ask(prompt.toUpperCase(), { at: gate.twin });
        assert.equal(there.text, first.text);
        assert.equal(there.headers["x-tidegate-similarity"], "1.00");
    });
});

test("in shadow mode the origin answers, and what it says is compared", async () => {
    const texts = new Set();
    for (const prompt of [FIRST, NEARLY]) {
        const answer = await ask(prompt, { path: "/shadow" });
        assert.equal(answer.headers["x-tidegate-similarity"], undefined);
        texts.add(answer.text);
        await pause(200);
    }
    assert.equal(texts.size, 2);
    await eventually(async () => assert.deepEqual([await metric("shadow"), await metric("shadow-different")], [1, 1]));
});
