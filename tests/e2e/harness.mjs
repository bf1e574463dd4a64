// A gate for tests: the built worker in its own workerd, stopped when the test file ends.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { ROOT, configModuleOf, runGate } from "../../tools/gate.mjs";
import { send } from "./client.mjs";

export { BadConfig } from "../../tools/gate.mjs";
export * from "./client.mjs";

const running = new Set();
after(async () => {
    for (const thing of running) await thing.stop();
});

/** Has something stopped when the test file ends. */
export function stopLater(thing) {
    running.add(thing);
    return thing;
}

/** The least that a config has to say. */
export const before = (url, more = "") => `[origins.default]\nurl = "${url}"\n${more}`;

/**
 * Starts a gate.
 *
 * @param {object} options
 * @param {string} [options.config] a tidegate.toml, as text
 * @param {string} [options.module] instead of it, a configuration module that nobody has checked
 * @param {Record<string, string>} [options.env] variables and secrets
 * @param {boolean} [options.fault] whether helpers can be broken with `gate.fault` (default false)
 * @param {string} [options.entry] the entry module, in the place of the one that is deployed
 * @param {number} [options.port]
 * @param {boolean} [options.twin] whether there is a second isolate (default false)
 */
export async function startGate({ config, module, env = {}, fault = false, entry, port = 0, twin = false }) {
    const state = mkdtempSync(join(tmpdir(), "tidegate-state-"));
    const lines = [];
    const options = {
        state,
        env,
        cron: false,
        twin,
        config: module ?? (await configModuleOf(config)),
        onLog: (line) => lines.push(line),
        entry: fault ? join(ROOT, "tests/e2e/faulty.mjs") : entry,
    };
    let gate = await runGate({ ...options, port });
    const self = {
        url: gate.url,
        port: gate.port,
        /** The second isolate. */
        twin: gate.twin,
        /** What the worker has logged: {level, message}. */
        lines,
        log: () => lines.map(({ message }) => message).join("\n"),
        get pid() {
            return gate.pid;
        },
        /** Resident memory of workerd in bytes. */
        memory: () => Number(execFileSync("ps", ["-o", "rss=", "-p", String(gate.pid)], { encoding: "utf8" })) * 1024,
        get: (path, more = {}) => send(gate.url + path, more),
        kv: () => gate.miniflare.getKVNamespace("KV", "tidegate"),
        /** A new workerd on the same state: what was in an isolate's memory is gone. */
        async restart(changes = {}) {
            await gate.stop();
            const changed = changes.config ? { config: await configModuleOf(changes.config) } : {};
            gate = await runGate({ ...options, ...changed, port: gate.port });
        },
        /** Empties the Cache API. */
        purgeColo: async () => (await gate.miniflare.getWorker("tidegate"), gate.miniflare.purgeCache()),
        /** Throws a Durable Object out of memory; its storage stays. */
        evict: (className, name) => gate.miniflare.unsafeEvictDurableObject("tidegate", className, { name }),
        /** Breaks helpers: {kv, limiter, metrics, shield}, each "fail", "hang" or milliseconds; {} repairs all. */
        fault: (faults) => send(`${gate.url}/__fault`, { method: "POST", body: JSON.stringify(faults) }),
        scheduled: () => gate.scheduled(),
        async stop() {
            running.delete(self);
            await gate.stop();
            rmSync(state, { recursive: true, force: true });
        },
    };
    return stopLater(self);
}
