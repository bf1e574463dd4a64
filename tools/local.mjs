// What `make serve` and `make dev` share: variables from the surroundings, log lines on the terminal, a clean end.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./gate.mjs";

/** The secrets that a configuration names: of a pool (`secret`), of a token's key (`secret_binding`). */
const SECRET = /^[^#\n]*\bsecret(?:_binding)?\s*=\s*"(?:[^":]*:\s*)?(?:\w+\s+)?(\w+)"/gm;

/**
 * Variables and secrets for a local run: `.dev.vars` (as wrangler reads it), and of the environment RATE_LIMIT_ENABLED,
 * TIDEGATE_* and what the configuration names.
 *
 * @param {string} config path of a tidegate.toml
 */
export function localEnv(config) {
    const vars = {};
    const named = new Set([...readFileSync(config, "utf8").matchAll(SECRET)].map(([, name]) => name));
    const file = join(ROOT, ".dev.vars");
    for (const line of existsSync(file) ? readFileSync(file, "utf8").split("\n") : []) {
        const found = /^\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(line);
        if (found) vars[found[1]] = found[2].replace(/^(["'])(.*)\1$/, "$2");
    }
    for (const [name, value] of Object.entries(process.env)) {
        if (named.has(name) || name === "RATE_LIMIT_ENABLED" || (name.startsWith("TIDEGATE_") && name !== "TIDEGATE_NATIVE")) vars[name] = value;
    }
    return vars;
}

/** Writes a worker's log line to standard error. */
export function printLog({ level, message }) {
    process.stderr.write(`${level === "log" ? "" : `${level}: `}${message}\n`);
}

/**
 * Calls `stop` on the first SIGINT or SIGTERM and exits 0; a second one ends at once. To be called after a gate was
 * started: miniflare sets handlers of its own, which exit without waiting.
 */
export function stopOnSignal(stop) {
    let stopping = false;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
        process.removeAllListeners(signal);
        process.on(signal, async () => {
            if (stopping) process.exit(1);
            stopping = true;
            await stop().catch(() => {});
            process.exit(0);
        });
    }
}
