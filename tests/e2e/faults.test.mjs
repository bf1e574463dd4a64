// docs/faults.md says what a client sees of an origin that fails, and it is so.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before as beforeAll, describe, test } from "node:test";
import { ROOT } from "../../tools/gate.mjs";
import { eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";
import { FAULTS, startFaults } from "./origins/faults.mjs";

const BODY = "what the origin says, from its first to its last byte";
const COLUMNS = ["GET, another", "GET, alone", "GET, stale", "POST, alone"];
const rows = readFileSync(join(ROOT, "docs/faults.md"), "utf8").split("\n").filter((line) => line.startsWith("| ")).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));

const faults = rows.filter(([name]) => name !== "the origin");
const CACHED = { headers: { "Cache-Control": "max-age=1, stale-if-error=600" }, body: "stored" };
/** The path of what is stored, and stale by now. */
const stale = (how) => `/alone/stale/${how.replaceAll(" ", "-")}`;

let origin, other, proxy, gate;
beforeAll(async () => {
    origin = await startOrigin();
    other = await startOrigin();
    other.otherwise({ headers: { "Cache-Control": "no-store" }, body: "other" });
    origin.otherwise({ headers: { "Cache-Control": "no-store" }, body: BODY });
    proxy = await startFaults(origin.url);
    const rest = 'attempt_timeout = "400ms"\ntotal_timeout = "1300ms"\nbody_idle_timeout = "400ms"\nretry = { backoff_base = "10ms" }\nbreaker = { failures = 0, failure_ratio = 0.0 }\n';
    gate = await startGate({
        config: `
[origins.default]
endpoints = [{ name = "a", url = "${proxy.url}" }, { name = "b", url = "${other.url}", priority = 1 }]
${rest}
[origins.alone]
url = "${proxy.url}"
${rest}
[[routes]]
name = "alone"
match = { path = "/alone/**" }
origin = "alone"
[[routes]]
name = "rest"
`,
        env: { RATE_LIMIT_ENABLED: "false" },
    });
    for (const [how] of faults) {
        const path = stale(how);
        origin.on(path, CACHED);
        await gate.get(path);
        await eventually(async () => assert.match((await gate.get(path)).headers["cache-status"], /hit/));
        origin.on(path, { headers: CACHED.headers, body: BODY });
    }
    await pause(2050);
});

async function misbehave(how) {
    if (how === "refuses connections") return proxy.refuse();
    proxy.fault = how === "well" ? null : how;
    // What is open was opened by a well origin; it closes idle connections now and then.
    proxy.drop();
    return pause(20);
}
async function behave() {
    proxy.fault = null;
    proxy.drop();
    await proxy.listen();
    await pause(20);
}

/** What came, in the words of the table. */
async function seen(request) {
    let answer;
    try {
        answer = await request;
    } catch (error) {
        return ["ECONNRESET", "aborted"].includes(error.code ?? error.message) ? "cut" : `failed: ${error.message}`;
    }
    const { status, text, headers } = answer;
    if (status === 200 && /; hit|detail=sie/.test(headers["cache-status"] ?? "")) return text === "stored" ? "stale" : `stored: ${text}`;
    if (status === 200 && text === BODY) return "200";
    if (status === 200 && text === "other") return "other";
    if (status === 200 && text === BODY.slice(0, -2)) return "short";
    assert.match(headers["proxy-status"], /^tidegate; error=/);
    assert.match(headers["content-type"], /problem\+json/);
    return String(status);
}

test("the table names every fault", () => {
    assert.deepEqual(rows[0].slice(1), COLUMNS);
    const named = faults.map(([name]) => name);
    for (const fault of Object.keys(FAULTS)) assert.ok(named.includes(fault), fault);
});

describe("an origin that is", () => {
    for (const [how, ...cells] of faults) {
        test(how, async () => {
            const name = how.replaceAll(" ", "-");
            await misbehave(how);
            const stored = { headers: { "Cache-Control": "max-age=600" }, body: BODY };
            for (const path of [`/${name}`, `/alone/${name}`]) origin.on(path, stored);
            const got = [
                await seen(gate.get(`/${name}`)),
                await seen(gate.get(`/alone/${name}`)),
                await seen(gate.get(stale(how))),
                await seen(gate.get(`/alone/post-${name}`, { method: "POST", body: "a=1" })),
            ];
            await behave();
            assert.deepEqual(got, cells);
            assert.ok(origin.to(`/alone/post-${name}`).length <= 1, "a POST is not sent twice");
            // Nothing of it stays: what follows is whole, and what was cut was not stored.
            for (const path of [`/${name}`, `/alone/${name}`, `/alone/fresh-${name}`]) {
                const next = await gate.get(path);
                if (cells[0] === "short" && /; hit/.test(next.headers["cache-status"])) continue;
                assert.deepEqual([next.status, next.text], [200, BODY], path);
            }
        });
    }
});

test("a connection that the origin closes while it is idle is no failure, even for a POST", async () => {
    for (let n = 0; n < 10; n += 1) {
        assert.equal((await gate.get(`/alone/idle${n}`)).text, BODY);
        proxy.drop();
        await pause(20);
        const posted = await gate.get(`/alone/idle-post${n}`, { method: "POST", body: "a=1" });
        assert.deepEqual([posted.status, origin.to(`/alone/idle-post${n}`).length], [200, 1]);
        proxy.drop();
        await pause(20);
    }
});
