// make bench: CPU of workerd per request, side by side, each variant in its own process, in alternating rounds.
//
// CPU is utime + stime of that process over the requests that the load generator counted; the median of the rounds
// stands in the table. The wall clock plays no part, so a busy machine disturbs little.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ENTRY, ROOT, bundle, configModuleOf, runGate } from "../../tools/gate.mjs";
import { send } from "../e2e/client.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 5);
/** wrk takes whole seconds. */
const ROUND_S = 2;
const CONNECTIONS = 8;
const TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
/** What a browser sends, so that every variant has the same to read. */
const HEADERS = {
    Accept: "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    Cookie: "theme=dark",
    DNT: "1",
    Referer: "https://example.com/",
    "Sec-Fetch-Mode": "navigate",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
};

function loadGenerator() {
    const has = () => {
        try {
            execFileSync("sh", ["-c", "command -v wrk"]);
            return true;
        } catch {
            return false;
        }
    };
    if (!has() && process.getuid?.() === 0) {
        console.log("bench: wrk is missing; apt-get install wrk");
        try {
            execFileSync("apt-get", ["install", "-y", "--no-install-recommends", "wrk"], { stdio: "ignore", timeout: 60_000 });
        } catch {
            // Said below.
        }
    }
    if (!has()) {
        console.error("bench: wrk is not there and can't be installed (Debian: apt-get install wrk); nothing was measured");
        process.exit(1);
    }
}

/** Loads a URL for a while; resolves with the number of answers and how many of them were of status 400 and above. */
function load(url, headers, seconds) {
    const fields = Object.entries({ ...HEADERS, ...headers }).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
    const child = spawn("wrk", ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, ...fields, url]);
    let text = "";
    child.stdout.on("data", (chunk) => { text += chunk; });
    return new Promise((done, fail) => child.once("close", (code) => {
        if (code !== 0) return fail(new Error(`wrk ended with ${code}`));
        const requests = Number(/(\d+) requests in/.exec(text)[1]);
        return done({ requests, refused: Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0) });
    }));
}

/** CPU that a process has used, in microseconds. */
function cpu(pid) {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
    return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6;
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function measure(variant) {
    const before = cpu(variant.gate.pid);
    const { requests, refused } = await load(variant.gate.url + variant.path, variant.headers, ROUND_S);
    const used = cpu(variant.gate.pid) - before;
    if (variant.refused) assert.ok(refused > requests * 0.99, `${variant.name}: ${refused} of ${requests} were refused`);
    else assert.equal(refused, 0, `${variant.name}: ${refused} of ${requests} failed`);
    variant.rounds.push(used / requests);
    variant.requests += requests;
}

loadGenerator();
const started = performance.now();
const gates = [];
const start = async (options) => {
    const gate = await runGate({ cron: false, ...options });
    gates.push(gate);
    return gate;
};
const worker = (name, config = "export default 0;") => start({ entry: join(ROOT, `tests/bench/workers/${name}.mjs`), config, tidegate: false });

try {
    const origin = await worker("origin");
    const config = await configModuleOf(`[origins.default]\nurl = "${origin.url}"\n`);
    const tidegate = () => start({ config });
    const uncached = await configModuleOf(`[origins.default]\nurl = "${origin.url}"\n\n[cache.default]\nenabled = false\n`);
    const variants = [
        { name: "JS, new Response", gate: await worker("bare"), path: "/cached" },
        { name: "JS, reads 10 and sets 8 headers", gate: await worker("headers"), path: "/cached" },
        { name: "Hono, cached", gate: await worker("hono"), path: "/cached" },
        { name: "tidegate, memory hit", gate: await tidegate(), path: "/cached", expect: [200, /; hit;.*memory/] },
        { name: "tidegate, 304", gate: await tidegate(), path: "/cached", headers: { "If-None-Match": '"1"' }, expect: [304, /; hit;.*memory/] },
        { name: "tidegate, refusal", gate: await tidegate(), path: "/api/x", refused: true, expect: [429, /(?:)/] },
        { name: "JS, the same refusal", gate: await worker("refusal"), path: "/api/x", refused: true, expect: [429, /(?:)/] },
        { name: "JS, bare proxy", gate: await worker("proxy", `export default ${JSON.stringify(origin.url)};`), path: "/plain" },
        { name: "JS proxy, the same to both heads", gate: await worker("same", `export default ${JSON.stringify(origin.url)};`), path: "/plain" },
        { name: "tidegate, pass-through", gate: await start({ config: uncached }), path: "/plain", expect: [200, /fwd=/] },
        // Here the Cache API and KV are simulated in the same process, so this one holds their work, too.
        { name: "tidegate, miss in all layers", gate: await tidegate(), path: "/plain", expect: [200, /fwd=/] },
    ];
    for (const variant of variants) {
        Object.assign(variant, { rounds: [], requests: 0 });
        await load(variant.gate.url + variant.path, variant.headers, 1); // warm: compiled, stored, used up
        const { status, headers } = await send(variant.gate.url + variant.path, { headers: { ...HEADERS, ...variant.headers } });
        const [expected, cacheStatus] = variant.expect ?? [200, /(?:)/];
        assert.equal(status, expected, variant.name);
        assert.match(headers["cache-status"] ?? "", cacheStatus, variant.name);
    }
    for (let round = 0; round < ROUNDS; round += 1) for (const variant of variants) await measure(variant);

    const us = Object.fromEntries(variants.map(({ name, rounds }) => [name, median(rounds)]));
    const ratio = (name, to) => (us[name] / us[to]).toFixed(2).padStart(8);
    console.log(`\nCPU of workerd per request, median of ${ROUNDS} rounds of ${ROUND_S} s, ${CONNECTIONS} connections\n`);
    console.log(`${"".padEnd(34)}      us   spread   x bare x headers   x Hono  x proxy  requests`);
    for (const { name, rounds, requests } of variants) {
        const spread = `${Math.min(...rounds).toFixed(0)}-${Math.max(...rounds).toFixed(0)}`;
        const ratios = [ratio(name, "JS, new Response"), ` ${ratio(name, "JS, reads 10 and sets 8 headers")}`, ratio(name, "Hono, cached"), ratio(name, "JS, bare proxy")];
        console.log(`${name.padEnd(34)}${us[name].toFixed(1).padStart(8)}${spread.padStart(9)}${ratios.join(" ")}${String(requests).padStart(10)}`);
    }

    const modules = (await bundle(ENTRY, config)).filter(({ path }) => path !== "./config.mjs");
    const sizes = modules.map(({ path, contents }) => [path.slice(2), gzipSync(contents, { level: 9 }).length]);
    const total = sizes.reduce((sum, [, size]) => sum + size, 0);
    console.log(`\nSize, gzipped: ${sizes.map(([name, size]) => `${name} ${(size / 1024).toFixed(1)} KB`).join(", ")}; together ${(total / 1024).toFixed(1)} KB\n`);

    const targets = [
        ["a memory hit costs at most 1.5 x the JS worker with 10 and 8 headers", us["tidegate, memory hit"] <= 1.5 * us["JS, reads 10 and sets 8 headers"]],
        ["a memory hit costs less than Hono", us["tidegate, memory hit"] < us["Hono, cached"]],
        ["a refusal costs at most 1.2 x a JS worker that gives the same one", us["tidegate, refusal"] <= 1.2 * us["JS, the same refusal"]],
        ["a pass-through costs at most 1.3 x a bare JS proxy", us["tidegate, pass-through"] <= 1.3 * us["JS, bare proxy"]],
        ["a pass-through costs at most 1.3 x a JS proxy that does the same to both heads", us["tidegate, pass-through"] <= 1.3 * us["JS proxy, the same to both heads"]],
        ["wasm and JS take at most 160 KB gzipped", total <= 160 * 1024],
    ];
    for (const [target, reached] of targets) console.log(`${reached ? "reached" : "MISSED "}  ${target}`);
    console.log(`\n${((performance.now() - started) / 1000).toFixed(0)} s in all`);
} finally {
    await Promise.all(gates.map((gate) => gate.stop()));
}
