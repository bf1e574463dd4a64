// One running gate: the worker that wrangler would deploy, in its own workerd, listening on its own socket.
// `make serve`, `make dev`, the end-to-end tests and the bench all start it here.
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
export const ENTRY = join(ROOT, "src/platform/entry.mjs");
const NATIVE = process.env.TIDEGATE_NATIVE ?? join(ROOT, "build/tidegate");
const COMPATIBILITY_DATE = /^compatibility_date = "(.*)"/m.exec(readFileSync(join(ROOT, "wrangler.toml"), "utf8"))[1];
const CRON = "* * * * *";
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 3_000;
const DRAIN_TIMEOUT_MS = 500;

/** A configuration that `tidegate check` refuses; `message` is its whole list of problems. */
export class BadConfig extends Error {}

/** A port that somebody else listens on. */
export class PortTaken extends Error {}

/**
 * Checks a configuration file and turns it into the module that the worker imports.
 *
 * @param {string} file path of a tidegate.toml
 * @param {string} [cwd] where `www/` is
 * @returns {Promise<string>} the module's text
 */
export async function configModule(file, cwd = ROOT) {
    const folder = mkdtempSync(join(tmpdir(), "tidegate-config-"));
    try {
        const out = join(folder, "config.mjs");
        await promisify(execFile)(NATIVE, ["build", file, "-o", out], { cwd });
        return readFileSync(out, "utf8");
    } catch (error) {
        if (typeof error.code !== "number") throw error;
        throw new BadConfig(`${error.stdout}${error.stderr}`.trim());
    } finally {
        rmSync(folder, { recursive: true, force: true });
    }
}

/** The same for a configuration at hand as text, whatever is in `www/`. */
export async function configModuleOf(toml) {
    const folder = mkdtempSync(join(tmpdir(), "tidegate-config-"));
    try {
        writeFileSync(join(folder, "tidegate.toml"), toml);
        return await configModule(join(folder, "tidegate.toml"), folder);
    } finally {
        rmSync(folder, { recursive: true, force: true });
    }
}

/**
 * Bundles an entry module as wrangler does: one ES module beside its wasm. The configuration stays a module of its own,
 * so that a change of it needs no bundling.
 */
export async function bundle(entry, config) {
    const modules = [];
    const keepApart = {
        name: "keep-apart",
        setup(builder) {
            builder.onResolve({ filter: /\.wasm$/ }, ({ path, resolveDir }) => {
                const name = `./${path.split("/").at(-1)}`;
                const contents = new Uint8Array(readFileSync(join(resolveDir, path)));
                modules.push({ type: "CompiledWasm", path: name, contents });
                return { path: name, external: true };
            });
            builder.onResolve({ filter: /build\/config\.mjs$/ }, () => {
                modules.push({ type: "ESModule", path: "./config.mjs", contents: config });
                return { path: "./config.mjs", external: true };
            });
        },
    };
    const { outputFiles } = await build({
        entryPoints: [entry],
        bundle: true,
        write: false,
        minify: true,
        keepNames: true,
        format: "esm",
        target: "es2024",
        conditions: ["workerd", "worker", "browser"],
        external: ["cloudflare:*", "node:*"],
        plugins: [keepApart],
        logLevel: "silent",
    });
    return [{ type: "ESModule", path: "./entry.mjs", contents: outputFiles[0].text }, ...modules];
}

/** Whether nobody listens on a port of 127.0.0.1; found by taking it for a moment. */
async function isFree(port) {
    const probe = createServer();
    const taken = await new Promise((done) => {
        probe.once("error", () => done(true));
        probe.listen(port, "127.0.0.1", () => done(false));
    });
    if (!taken) await new Promise((done) => probe.close(done));
    return !taken;
}

/** The wanted port, or for 0 any free one below those that systems give to outgoing connections. */
export async function findPort(wanted) {
    for (;;) {
        const port = wanted || 20_000 + Math.floor(Math.random() * 10_000);
        if (await isFree(port)) return port;
        if (wanted) throw new PortTaken(`port ${wanted} is taken; stop what listens there, or choose another`);
    }
}

function childrenOf(pid) {
    if (process.platform === "linux") {
        return readdirSync(`/proc/${pid}/task`)
            .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" "))
            .filter(Boolean)
            .map(Number);
    }
    const lines = execFileSync("ps", ["-axo", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n");
    return lines.map((line) => line.trim().split(/\s+/).map(Number)).filter(([, parent]) => parent === pid).map(([child]) => child);
}

// workerd is found as the child that a start brought into being, so one start at a time.
let starting = Promise.resolve();
function oneAtATime(work) {
    const result = starting.then(work);
    starting = result.catch(() => {});
    return result;
}

/**
 * Starts a gate and waits until it truly answers.
 *
 * @param {object} options
 * @param {string} options.config the configuration module's text (`configModule`)
 * @param {number} [options.port] of 127.0.0.1; 0 chooses a free one
 * @param {string} [options.state] folder for KV, Durable Objects and the Cache API; without it they live in memory
 * @param {Record<string, string>} [options.env] variables and secrets
 * @param {string} [options.entry] the entry module
 * @param {(line: {level: string, message: string, timestamp: number}) => void} [options.onLog]
 * @param {boolean} [options.cron] whether to run the scheduled handler each minute (default true)
 * @param {boolean} [options.twin] whether a second isolate shares all that the first one has outside its memory (default false)
 * @param {boolean} [options.tidegate] false for a plain worker without tidegate's bindings (the bench)
 */
export async function runGate({ config, port: wantedPort = 0, state, env = {}, entry = ENTRY, onLog = () => {}, cron = true, twin = false, tidegate = true }) {
    const port = await findPort(wantedPort);
    const url = `http://127.0.0.1:${port}`;
    const modules = await bundle(entry, config);
    const bindings = tidegate && {
        bindings: { RATE_LIMIT_ENABLED: "true", TIDEGATE_LOCAL: "true", ...env },
        kvNamespaces: ["KV"],
        durableObjects: {
            DELIVERIES: { className: "Deliveries", useSQLite: true },
            LIMITER: { className: "Limiter", useSQLite: true },
            HEALTH: { className: "Health", useSQLite: true },
            SOCKETS: { className: "Sockets", useSQLite: true },
            METRICS: { className: "Metrics", useSQLite: true },
            SHIELD: { className: "Shield", useSQLite: true },
            QUEUE: { className: "Queue", useSQLite: true },
            FLEET: { className: "Fleet", useSQLite: true },
            WARM: { className: "Warm", useSQLite: true },
        },
        serviceBindings: { ASSETS: "www" },
    };
    // The worker's own socket: miniflare's entry worker in front of it would change headers and bodies.
    const socket = (port) => [{
        name: "SOCKET",
        type: "socket",
        plugin: { package: join(ROOT, "tools/socket-plugin.mjs"), name: "socket" },
        options: { port },
    }];
    const workers = [{
        name: "tidegate",
        modules,
        modulesRoot: "/",
        compatibilityDate: COMPATIBILITY_DATE,
        unsafeBindings: socket(port),
        // Else each fetch to an origin goes through one more worker.
        stripCfConnectingIp: false,
        ...bindings,
    }];
    const twinPort = twin && (await findPort(0));
    if (twin) workers.push({
        ...workers[0],
        name: "twin",
        unsafeBindings: socket(twinPort),
        durableObjects: Object.fromEntries(Object.entries(bindings.durableObjects).map(([name, object]) => [name, { ...object, scriptName: "tidegate" }])),
    });
    // Assets stand in a worker of their own, as miniflare puts a router in front of a worker that has them.
    if (tidegate) workers.push({
        name: "www",
        modules: true,
        script: "export default { fetch: () => new Response(null, { status: 404 }) }",
        compatibilityDate: COMPATIBILITY_DATE,
        assets: { directory: join(ROOT, "www"), routerConfig: { has_user_worker: false } },
    });

    const [miniflare, pid] = await oneAtATime(async () => {
        const before = new Set(childrenOf(process.pid));
        const miniflare = new Miniflare(convertV4MiniflareOptions({
            log: new Log(LogLevel.ERROR),
            handleStructuredLogs: onLog,
            telemetry: { enabled: false },
            cf: false,
            host: "127.0.0.1",
            port: 0,
            // As `wrangler kv --local --persist-to` has it, so that it reads and writes the same KV.
            resourcePersistencePath: state && resolve(state, "v3"),
            workers,
        }));
        try {
            await withDeadline(miniflare.ready, START_TIMEOUT_MS, "workerd did not start");
        } catch (error) {
            await dispose(miniflare, childrenOf(process.pid).filter((child) => !before.has(child)));
            throw error;
        }
        const [pid] = childrenOf(process.pid).filter((child) => !before.has(child) && isWorkerd(child));
        return [miniflare, pid];
    });

    const worker = await miniflare.getWorker("tidegate");
    const timer = cron && tidegate && setInterval(() => worker.scheduled({ cron: CRON }).catch(() => {}), 60_000);
    if (timer) timer.unref();
    return {
        url,
        port,
        twin: twin && `http://127.0.0.1:${twinPort}`,
        pid,
        miniflare,
        /** Runs the scheduled handler now. */
        scheduled: () => worker.scheduled({ cron: CRON }),
        async stop() {
            if (timer) clearInterval(timer);
            // Open sockets that the gate holds itself are closed as on a deploy; a gate that hangs or is gone holds nothing up.
            const drained = tidegate && (async () => worker.scheduled({ cron: "drain" }))();
            if (drained) await withDeadline(drained, DRAIN_TIMEOUT_MS, "").catch(() => {});
            await dispose(miniflare, [pid]);
        },
    };
}

function isWorkerd(pid) {
    if (!pid) return false;
    try {
        return execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" }).includes("workerd");
    } catch {
        return false;
    }
}

/** Stops miniflare; a workerd with a hung request ignores the polite way, so its pid is at hand. */
async function dispose(miniflare, pids) {
    await withDeadline(miniflare.dispose(), STOP_TIMEOUT_MS, "").catch(() => {});
    for (const pid of pids.filter(isWorkerd)) process.kill(pid, "SIGKILL");
}

export async function withDeadline(promise, milliseconds, message) {
    let timer;
    const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(message)), milliseconds); });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}
