// Constant load while the primary is killed, started, stopped and woken: two nginx, and behind both an API with a real
// PostgreSQL. TIDEGATE_LONG=1 runs it for a minute.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pause, startGate, stopLater } from "./harness.mjs";
import { FILES, missingNginx, startNginx } from "./origins/nginx.mjs";
import { startTodoApi } from "./origins/todo.mjs";

const missing = missingNginx();
if (missing) console.error(`\n!!! NOT TESTED under load: ${missing}\n`);

const PER_SECOND = 200;
const SECONDS = process.env.TIDEGATE_LONG ? 60 : 10;
const ATTEMPT_TIMEOUT_MS = 500;
/** How late a machine with other things to do may be. */
const SLACK_MS = 500;

const config = (primary, fallback) => `
[origins.default]
attempt_timeout = "${ATTEMPT_TIMEOUT_MS}ms"
total_timeout = "8s"
breaker = { failures = 3, ejection = "500ms", ejection_max = "2s" }
endpoints = [
  { name = "primary", url = "${primary}" },
  { name = "fallback", url = "${fallback}", priority = 1 },
]
[[routes]]
name = "api"
match = { path = "/api/*" }
cache = "off"
[[routes]]
name = "files"
cache = { ttl = "1s", ttl_mode = "override", stale_while_revalidate = "30s", stale_if_error = "1h" }
`;

const files = Object.keys(FILES).filter((file) => !file.includes("data.bin")).map((file) => `/${file}`);

/** What is sent as the n-th request: most of it can be stored, some only read, some written. */
function nth(n) {
    if (n % 10 === 0) {
        const body = JSON.stringify({ title: `item ${n}` });
        return { kind: "write", path: "/api/todos", options: { method: "POST", body, headers: { "Content-Type": "application/json" } } };
    }
    if (n % 10 < 3) return { kind: "read", path: "/api/todos/1", options: {} };
    return { kind: "cached", path: files[n % files.length], options: {} };
}

describe("under constant load", { skip: missing }, () => {
    test("a primary that is killed, started, stopped and woken costs no more than the writes it had", async () => {
        const api = stopLater(await startTodoApi());
        const [primary, fallback] = [stopLater(await startNginx({ api: api.url })), stopLater(await startNginx({ api: api.url }))];
        const gate = await startGate({ config: config(primary.url, fallback.url), env: { RATE_LIMIT_ENABLED: "false" } });
        await gate.get("/api/todos", nth(0).options);
        for (const file of files) await gate.get(file);

        const faults = [];
        const scene = async () => {
            const part = (SECONDS * 1000) / 5;
            for (const [name, act] of [
                ["killed", () => primary.signal("SIGKILL")],
                ["started", () => primary.start()],
                ["stopped", () => primary.signal("SIGSTOP")],
                ["woken", () => primary.signal("SIGCONT")],
            ]) {
                await pause(part);
                faults.push({ name, at: performance.now() });
                await act();
            }
        };
        const results = [];
        const one = async (n) => {
            const { kind, path, options } = nth(n);
            const sent = performance.now();
            const outcome = await gate.get(path, options).then(({ status }) => status, (error) => error.message);
            results.push({ kind, sent, outcome, took: performance.now() - sent, failed: !(outcome >= 200 && outcome < 300) });
        };
        const load = async () => {
            const begin = performance.now();
            const running = [];
            for (let n = 1; n <= PER_SECOND * SECONDS; n += 1) {
                const wait = begin + (n * 1000) / PER_SECOND - performance.now();
                if (wait > 0) await pause(wait);
                running.push(one(n));
            }
            await Promise.all(running);
            return performance.now() - begin;
        };
        const [took] = await Promise.all([load(), scene()]);

        const figures = ["cached", "read", "write"].map((kind) => {
            const those = results.filter((result) => result.kind === kind);
            const times = those.map((result) => result.took).sort((one, other) => one - other);
            const failed = those.filter((result) => result.failed).length;
            return `${kind}: ${those.length} requests, ${failed} failed, p50 ${times[times.length >> 1].toFixed(0)} ms, p99 ${times[Math.floor(times.length * 0.99)].toFixed(0)} ms`;
        });
        const failed = results.filter((result) => result.failed);
        const outcomes = Object.entries(Object.groupBy(failed, ({ kind, outcome }) => `${kind} ${outcome}`)).map(([what, { length }]) => `${length} x ${what}`);
        console.log(`load: ${results.length} requests in ${(took / 1000).toFixed(1)} s, ${failed.length} failed ${outcomes}\n  ${figures.join("\n  ")}`);

        assert.deepEqual(failed.filter(({ kind }) => kind !== "write"), [], "only what may not be sent twice may fail");
        // In flight when the fault came, or sent before any request could have shown it.
        const [killed, stopped] = ["killed", "stopped"].map((wanted) => faults.find(({ name }) => name === wanted).at);
        const wasUnderWay = ({ sent }) => [[killed, 0], [stopped, ATTEMPT_TIMEOUT_MS]].some(([at, unseen]) => sent > at - SLACK_MS && sent < at + unseen + SLACK_MS);
        assert.deepEqual(failed.filter((result) => !wasUnderWay(result)), [], "a write failed although the fault was known");
        assert.ok(took < SECONDS * 1000 + 10_000, `the load was not kept up: ${took} ms`);
    });
});
