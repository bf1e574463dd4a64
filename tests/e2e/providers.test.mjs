// A chain of AI providers, each asked in its own way; the keys are the deployment's secrets.
import assert from "node:assert/strict";
import { after, before as beforeAll, beforeEach, test } from "node:test";
import { eventually, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const SECRETS = { FIRST_KEY: "sk-first-1234", SECOND_KEY: "sk-second-5678" };
const PROMPT = JSON.stringify({ model: "small", messages: [{ role: "user", content: "hello" }] });

let first, second, third, gate;
const config = () => `
[origins.default]
url = "${first.url}"
path = "/ai/* -> /v1/*"
secret = "FIRST_KEY"
attempts_max = 1
fallback = ["second", "third"]
retry = { statuses = [429, 502, 503, 504] }
[origins.second]
url = "${second.url}/openai"
path = "/deployments/*"
headers = { x-version = "2026-01-01", authorization = "", cookie = "" }
secret = "x-api-key: SECOND_KEY"
attempts_max = 1
[origins.third]
url = "${third.url}"
path = "/generate"
headers = { authorization = "" }
[[routes]]
name = "ai"
match = { path = "/ai/*" }
retry_safe = true
[[routes]]
name = "rest"
`;

beforeAll(async () => {
    [first, second, third] = await Promise.all(["first", "second", "third"].map((name) => startOrigin({ name })));
    gate = await startGate({ config: config(), env: { ...SECRETS, TIDEGATE_TEST_TRAP: "1" } });
});
after(() => gate.stop());
beforeEach(() => {
    for (const origin of [first, second, third]) {
        origin.clear();
        origin.otherwise({ headers: { "Cache-Control": "no-store" }, body: "answer" });
    }
});

const ask = (headers = {}) =>
    gate.get("/ai/chat/completions", { method: "POST", headers: { "Content-Type": "application/json", Authorization: "Bearer of-the-client", Cookie: "a=1", ...headers }, body: PROMPT });

test("the first provider is asked at its path with its key", async () => {
    assert.equal((await ask()).status, 200);
    const { url, headers, body } = first.last();
    assert.equal(url, "/v1/chat/completions");
    assert.equal(headers.authorization, "Bearer sk-first-1234");
    assert.equal(body, PROMPT);
    assert.equal(second.requests.length + third.requests.length, 0);
});

test("over its quota, the second answers, and then the third: nobody sees it", async () => {
    first.otherwise({ status: 429, headers: { "Retry-After": "60" }, body: "slow down" });
    assert.equal((await ask()).status, 200);
    const { url, headers, body } = second.last();
    assert.equal(url, "/openai/deployments/ai/chat/completions");
    assert.equal(headers["x-api-key"], "sk-second-5678");
    assert.equal(headers["x-version"], "2026-01-01");
    assert.equal(headers.authorization, undefined);
    assert.equal(headers.cookie, undefined);
    assert.equal(body, PROMPT);

    second.otherwise((request) => request.socket.destroy());
    assert.equal((await ask()).text, "answer");
    assert.equal(third.last().url, "/generate");
    assert.equal(third.last().headers.authorization, undefined);
    assert.equal(third.last().headers["x-api-key"], undefined);
});

test("when all fail, the answer says so, and no key is in it or in the log", async () => {
    for (const origin of [first, second, third]) origin.otherwise((request) => request.socket.destroy());
    const answer = await ask();
    assert.equal(answer.status, 502);
    assert.match(answer.headers["proxy-status"], /^tidegate; error=/);
    const config = await gate.get("/_tidegate/admin/config");
    const everything = JSON.stringify(answer.headers) + answer.text + gate.log() + config.text + (await gate.get("/_tidegate/metrics")).text;
    for (const secret of Object.values(SECRETS)) assert.ok(!everything.includes(secret));
});

test("also when the wasm dies, the provider gets its path, its fields and its key", async () => {
    await eventually(async () => {
        first.clear();
        const answer = await ask({ "X-Tidegate-Test-Trap": "1" });
        assert.equal(answer.status, 200);
        assert.equal(first.last().url, "/v1/chat/completions");
    });
    assert.equal(first.last().headers.authorization, "Bearer sk-first-1234");
    assert.equal(first.last().headers["x-tidegate-test-trap"], undefined);
});
