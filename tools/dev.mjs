// make dev: the gate before demo origins, following changes of tidegate.toml, www/ and src/.
import { fork, spawn } from "node:child_process";
import { mkdirSync, watch, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { BadConfig, PortTaken, ROOT, configModule, runGate } from "./gate.mjs";
import { localEnv, printLog, stopOnSignal } from "./local.mjs";

const PORT = Number(process.env.PORT ?? 8787);
const CONFIG = resolve(ROOT, process.env.CONFIG ?? "tidegate.toml");
const STATE = resolve(ROOT, process.env.STATE ?? ".state");
const SETTLE_MS = 150;
/** How long a demo origin that was killed stays away. */
const AWAY_MS = 60_000;
const say = (text) => console.log(`dev: ${text}`);

/** The configuration as `tidegate build` made it. */
async function builtConfig() {
    const { default: built } = await import(`data:text/javascript,${encodeURIComponent(await configModule(CONFIG))}`);
    return JSON.parse(built.config);
}

/** The endpoints that the configuration has on this machine, each to be played by a demo origin. */
function localEndpoints({ origins }) {
    const named = ([pool, { url, split, endpoints }]) => {
        if (endpoints) return endpoints.map((endpoint) => ({ name: pool, ...endpoint }));
        const replicas = split?.replicas.map((replica, n) => ({ name: `${pool}-replica-${n + 1}`, url: replica })) ?? [];
        return [{ name: pool, url: url ?? split.primary }, ...replicas];
    };
    return Object.entries(origins)
        .flatMap(named)
        .map(({ name, url }) => ({ name, at: new URL(url) }))
        .filter(({ at }) => ["127.0.0.1", "localhost"].includes(at.hostname))
        .map(({ name, at }) => ({ name, port: at.port || "80" }));
}

/** A demo origin in its own process, so that it can be killed; its pid is in a file of its name. */
async function startOrigin({ name, port }) {
    const child = fork(join(ROOT, "tests/e2e/origins/demo.mjs"), [port, name]);
    await new Promise((done, fail) => {
        child.once("message", done);
        child.once("exit", () => fail(new PortTaken(`the demo origin ${name} did not start`)));
    });
    writeFileSync(join(STATE, `${name}.pid`), `${child.pid}\n`);
    origins.set(name, child);
    child.once("exit", () => {
        if (stopping) return;
        say(`origin ${name} is gone; it starts again in ${AWAY_MS / 1000} s`);
        setTimeout(() => startOrigin({ name, port }).then(() => say(`origin ${name} is back`), (error) => say(error.message)), AWAY_MS);
    });
}

async function startGate() {
    const config = await configModule(CONFIG);
    return () => runGate({ config, port: PORT, state: STATE, env: localEnv(CONFIG), onLog: printLog });
}

function makeWasm() {
    return new Promise((done, fail) => {
        const make = spawn(process.env.MAKE ?? "make", ["--no-print-directory", "build/tidegate", "build/wasm/tidegate.js"], {
            cwd: ROOT,
            stdio: "inherit",
        });
        make.once("exit", (code) => (code === 0 ? done() : fail(new BadConfig("the build failed; the old one keeps running"))));
    });
}

let gate;
let stopping = false;
const origins = new Map();

function stopOrigins() {
    stopping = true;
    for (const origin of origins.values()) origin.kill();
}

/** Builds first and swaps then, so that what is broken never replaces what runs. */
async function restart(sourceChanged) {
    try {
        if (sourceChanged) await makeWasm();
        const start = await startGate();
        await gate?.stop();
        gate = await start();
        say(`ready ${gate.url}`);
    } catch (error) {
        if (!(error instanceof BadConfig)) throw error;
        console.error(error.message);
    }
}

function follow() {
    let timer;
    let sourceChanged = false;
    let working = Promise.resolve();
    const later = (isSource) => {
        sourceChanged ||= isSource;
        clearTimeout(timer);
        timer = setTimeout(() => {
            const source = sourceChanged;
            sourceChanged = false;
            working = working.then(() => restart(source));
        }, SETTLE_MS);
    };
    watch(dirname(CONFIG), (_, file) => file === basename(CONFIG) && later(false));
    watch(join(ROOT, "www"), { recursive: true }, () => later(false));
    watch(join(ROOT, "src"), { recursive: true }, () => later(true));
}

try {
    mkdirSync(STATE, { recursive: true });
    const config = await builtConfig();
    for (const endpoint of localEndpoints(config)) {
        await startOrigin(endpoint);
        const file = join(relative(process.cwd(), STATE), `${endpoint.name}.pid`);
        say(`origin ${endpoint.name} at http://127.0.0.1:${endpoint.port}; to see it fail: kill $(cat ${file})`);
    }
    gate = await (await startGate())();
    stopOnSignal(async () => {
        stopOrigins();
        await gate.stop();
    });
    follow();
    say(`live page ${gate.url}${config.server?.prefix ?? "/_tidegate"}/`);
    say(`ready ${gate.url}`);
} catch (error) {
    stopOrigins();
    console.error(error instanceof BadConfig || error instanceof PortTaken ? error.message : error);
    process.exit(1);
}
