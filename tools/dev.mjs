// make dev: the gate before two demo origins, following changes of tidegate.toml, www/ and src/.
import { fork, spawn } from "node:child_process";
import { watch } from "node:fs";
import { join } from "node:path";
import { BadConfig, PortTaken, ROOT, configModule, runGate } from "./gate.mjs";
import { localEnv, printLog, stopOnSignal } from "./local.mjs";

const PORT = Number(process.env.PORT ?? 8787);
const ORIGINS = [[9001, "a"], [9002, "b"]];
const SETTLE_MS = 150;
const say = (text) => console.log(`dev: ${text}`);

/** A demo origin in its own process, so that it can be killed. */
function startOrigin([port, name]) {
    const child = fork(join(ROOT, "tests/e2e/origins/demo.mjs"), [port, name]);
    return new Promise((done, fail) => {
        child.once("message", () => done(child));
        child.once("exit", () => fail(new PortTaken("a demo origin did not start")));
    });
}

async function startGate() {
    const config = await configModule(join(ROOT, "tidegate.toml"));
    return () => runGate({ config, port: PORT, state: join(ROOT, ".state"), env: localEnv(), onLog: printLog });
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
const origins = [];

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
    watch(ROOT, (_, file) => file === "tidegate.toml" && later(false));
    watch(join(ROOT, "www"), { recursive: true }, () => later(false));
    watch(join(ROOT, "src"), { recursive: true }, () => later(true));
}

try {
    for (const [port, name] of ORIGINS) {
        const child = await startOrigin([port, name]);
        origins.push(child);
        say(`origin ${name} at http://127.0.0.1:${port} (kill ${child.pid} to see the other one take over)`);
    }
    gate = await (await startGate())();
    stopOnSignal(async () => {
        for (const origin of origins) origin.kill();
        await gate.stop();
    });
    follow();
    say(`live page ${gate.url}/_tidegate/`);
    say(`ready ${gate.url}`);
} catch (error) {
    for (const origin of origins) origin.kill();
    console.error(error instanceof BadConfig || error instanceof PortTaken ? error.message : error);
    process.exit(1);
}
