// Clients that people really use, against the running worker: each reads what it is told, waits as long, and is admitted.
// None of them is told more than the address, and that a 429 is worth another try where that is not its default.
import assert from "node:assert/strict";
import { execFileSync, execFile } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { before as beforeAll, test } from "node:test";
import { promisify } from "node:util";
import axios from "axios";
import axiosRetry from "axios-retry";
import Bottleneck from "bottleneck";
import got from "got";
import { parseRateLimit } from "ratelimit-header-parser";
import { before, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

/** How many requests each client wants to make, under a quota of three in two seconds. */
const REQUESTS = 7;
const URLLIB3 = "2.8.0";
const PACE = `
[limits.policies.pace]
quota = "3/2s"
partition = "header:x-client"
[[routes]]
name = "api"
match = { path = "/api/*" }
limits = ["pace"]
`;
let origin, gate;

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: before(origin.url, PACE) });
});

/** What came of the tries of a client, each {at, status, retryAfter}: all went well in the end, and no try was in vain. */
function check(tries) {
    assert.equal(tries.filter(({ status }) => status === 200).length, REQUESTS);
    const refused = tries.filter(({ status }) => status === 429);
    assert.ok(refused.length >= 1, "the quota is less than what it wants");
    for (const [n, { at, status, retryAfter }] of tries.entries()) {
        if (status !== 429) continue;
        const next = tries[n + 1];
        assert.ok(next, "it came again");
        assert.ok(next.at - at >= retryAfter * 1000 - 20, `it waited ${next.at - at} ms of ${retryAfter} s`);
        assert.equal(next.status, 200, "whoever waits as told is admitted");
    }
}

/** Notes each try on its way to the gate, as the client's own fetch or transport would not tell. */
const note = (tries, status, headers) => tries.push({ at: Date.now(), status, retryAfter: Number(headers["retry-after"] ?? 0) });

// It takes RateLimit for that of an earlier draft wherever it sees one; `fields = "legacy"` is there for such clients.
test("ratelimit-header-parser reads the fields as they are meant", async () => {
    const gate = await startGate({ config: before(origin.url, `[limits]\nfields = "legacy"\n${PACE}`) });
    const ask = () => fetch(`${gate.url}/api/x`, { headers: { "X-Client": "parser" } });
    for (let left = 2; left >= 0; left -= 1) {
        const answer = await ask();
        const { limit, remaining, used, reset } = parseRateLimit(answer);
        assert.deepEqual({ limit, remaining, used }, { limit: 3, remaining: left, used: 3 - left });
        assert.ok(reset - Date.now() > -1000 && reset - Date.now() <= 3000, String(reset));
    }
    const refused = await ask();
    const { remaining, reset } = parseRateLimit(refused);
    assert.deepEqual([refused.status, remaining], [429, 0]);
    await pause(Math.max(0, reset - Date.now()));
    assert.equal((await ask()).status, 200, "at the time that it reads");
});

test("axios-retry", async () => {
    const tries = [];
    const client = axios.create({ baseURL: gate.url, headers: { "X-Client": "axios" } });
    client.interceptors.response.use(
        (answer) => (note(tries, answer.status, answer.headers), answer),
        (error) => (note(tries, error.response.status, error.response.headers), Promise.reject(error)),
    );
    axiosRetry(client, { retries: 3, retryDelay: axiosRetry.exponentialDelay, retryCondition: ({ response }) => response?.status === 429 });
    for (let n = 0; n < REQUESTS; n += 1) assert.equal((await client.get("/api/x")).status, 200);
    check(tries);
});

test("got, as it comes", async () => {
    const tries = [];
    const client = got.extend({
        prefixUrl: gate.url,
        headers: { "X-Client": "got" },
        hooks: {
            beforeRetry: [({ response }) => note(tries, response.statusCode, response.headers)],
            afterResponse: [(response) => (response.statusCode === 200 && note(tries, 200, response.headers), response)],
        },
    });
    for (let n = 0; n < REQUESTS; n += 1) assert.equal((await client.get("api/x")).statusCode, 200);
    // It tells of a refusal when it sets out again, so that is when the next try is.
    assert.equal(tries.filter(({ status }) => status === 200).length, REQUESTS);
    const refused = origin.to("/api/x").length;
    assert.ok(refused >= REQUESTS && tries.some(({ status }) => status === 429));
    for (const [n, { status }] of tries.entries()) assert.ok(status === 200 || tries[n + 1]?.status === 200, "one wait was enough");
});

test("bottleneck, with many at once", async () => {
    const tries = [];
    const limiter = new Bottleneck({ maxConcurrent: 1 });
    limiter.on("failed", (error, { retryCount }) => (retryCount < 3 ? error.retryAfter * 1000 : undefined));
    const ask = async () => {
        const answer = await fetch(`${gate.url}/api/x`, { headers: { "X-Client": "bottleneck" } });
        note(tries, answer.status, Object.fromEntries(answer.headers));
        if (!answer.ok) throw Object.assign(new Error(String(answer.status)), { retryAfter: Number(answer.headers.get("retry-after")) });
    };
    await Promise.all(Array.from({ length: REQUESTS }, () => limiter.schedule(ask)));
    await limiter.disconnect();
    check(tries);
});

/** Python with urllib3 in the user's cache folder; a text says why there is none. */
function urllib3() {
    const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tidegate", `urllib3-${URLLIB3}`);
    try {
        execFileSync("python3", ["--version"], { stdio: "ignore" });
    } catch {
        return { why: "there is no python3 on this machine" };
    }
    if (existsSync(join(folder, "urllib3"))) return { folder };
    try {
        mkdirSync(folder, { recursive: true });
        execFileSync("python3", ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder, `urllib3==${URLLIB3}`], { stdio: "pipe" });
        return { folder };
    } catch (error) {
        return { why: `urllib3 ${URLLIB3} could not be had from PyPI: ${String(error.stderr ?? error.message).trim().split("\n").at(-1)}` };
    }
}

const PYTHON = `
import json, sys, time
import urllib3
tries = []
class Noting(urllib3.Retry):
    def increment(self, method=None, url=None, response=None, error=None, _pool=None, _stacktrace=None):
        if response is not None:
            tries.append({"at": time.time() * 1000, "status": response.status, "retryAfter": int(response.headers["Retry-After"])})
        return super().increment(method, url, response, error, _pool, _stacktrace)
http = urllib3.PoolManager(retries=Noting(total=3), headers={"X-Client": "urllib3"})
for _ in range(int(sys.argv[2])):
    answer = http.request("GET", sys.argv[1])
    tries.append({"at": time.time() * 1000, "status": answer.status, "retryAfter": 0})
print(json.dumps(tries))
`;

const python = urllib3();
test("Python's urllib3.Retry, as it comes", { skip: python.why && `SKIPPED: ${python.why}` }, async () => {
    const env = { ...process.env, PYTHONPATH: python.folder, NO_PROXY: "*" };
    const { stdout } = await promisify(execFile)("python3", ["-c", PYTHON, `${gate.url}/api/x`, String(REQUESTS)], { env });
    check(JSON.parse(stdout));
});
