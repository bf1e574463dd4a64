// A bad configuration never serves, and never panics.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ROOT, configModuleOf } from "../../tools/gate.mjs";
import { BadConfig, before, send, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const folder = mkdtempSync(join(tmpdir(), "tidegate-serve-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** `make serve` without make: resolves when it has ended, or says that it is ready. */
function serve(toml, port, env = {}) {
    const file = join(folder, `config-${port}.toml`);
    writeFileSync(file, toml);
    const child = spawn(process.execPath, [join(ROOT, "tools/serve.mjs"), file, String(port), join(folder, `state-${port}`)], { cwd: ROOT, env: { ...process.env, ...env } });
    let text = "";
    const ended = new Promise((done) => child.once("close", (code, signal) => done({ code, signal, text })));
    const ready = new Promise((done) => {
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => {
            text += chunk;
            if (/^ready /m.test(text)) done(/^ready (\S+)/m.exec(text)[1]);
        });
        ended.then(() => done(undefined));
    });
    after(() => child.kill("SIGKILL"));
    return { child, ended, ready };
}

async function freePort() {
    const server = createServer();
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address();
    await new Promise((done) => server.close(done));
    return port;
}

const BAD = `[origins.default]\nurl = "not a url"\nbogus = 1\n\n[nonsense]\nx = 1\n`;

test("serve says what is wrong, line by line, and ends with 1", async () => {
    const { code, text } = await serve(BAD, await freePort()).ended;
    assert.equal(code, 1);
    const problems = text.trim().split("\n");
    assert.ok(problems.length >= 2, text);
    for (const problem of problems.filter((line) => line.includes(".toml:"))) assert.match(problem, /\.toml:\d+: .*; allowed: /);
    assert.match(text, /bogus/);
    assert.match(text, /nonsense/);
    assert.doesNotMatch(text, /ready|at .*\.mjs/);
});

test("serve says that its port is taken, and ends with 1", async () => {
    const origin = await startOrigin();
    const { code, text } = await serve(before(origin.url), origin.port).ended;
    assert.equal(code, 1);
    assert.match(text, new RegExp(`port ${origin.port} is taken`));
});

test("serve serves, keeps its state from run to run, and ends cleanly when told to", async () => {
    const origin = await startOrigin();
    origin.on("/kept", { headers: { "Cache-Control": "max-age=600" }, body: "kept" });
    const port = await freePort();
    for (const run of [1, 2]) {
        const { child, ended, ready } = serve(before(origin.url), port);
        assert.equal(await ready, `http://127.0.0.1:${port}`);
        const answer = await send(`http://127.0.0.1:${port}/kept`);
        assert.equal(answer.text, "kept");
        await new Promise((done) => setTimeout(done, 300));
        child.kill(run === 1 ? "SIGTERM" : "SIGINT");
        assert.equal((await ended).code, 0);
    }
    assert.equal(origin.to("/kept").length, 1);
});

test("serve hands on the secrets that the configuration names, and no others", async () => {
    const origin = await startOrigin();
    const named = `secret = "x-api-key: OTHER_KEY"\n[identity.jwt]\nalgorithm = "HS256"\nsecret_binding = "TOKEN_KEY"\n`;
    const env = { OTHER_KEY: "other", TOKEN_KEY: "token", TIDEGATE_ADMIN_TOKEN: "admin" };
    const { child, ended, ready } = serve(before(origin.url, named), await freePort(), env);
    const url = await ready;
    const part = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
    const signed = [{ alg: "HS256" }, { sub: "u", tier: "pro", exp: Date.now() / 1000 + 60 }].map(part).join(".");
    const token = `${signed}.${createHmac("sha256", "token").update(signed).digest("base64url")}`;
    const answer = await send(`${url}/api/x`, { headers: { Authorization: `Bearer ${token}` } });
    assert.deepEqual([answer.status, answer.headers["x-ratelimit-tier"]], [200, "pro"]);
    assert.equal(origin.last().headers["x-api-key"], "other");
    assert.equal((await send(`${url}/_tidegate/admin/config`, { headers: { Authorization: "Bearer admin" } })).status, 200);
    child.kill("SIGTERM");
    await ended;
});

test("a checked configuration with a mistake is never started", async () => {
    await assert.rejects(startGate({ config: BAD }), BadConfig);
});

test("a worker that gets a bad configuration all the same answers 503 and logs what is wrong", async () => {
    const origin = await startOrigin();
    const good = await configModuleOf(before(origin.url));
    const cases = [
        ["one that was changed after it was checked", good.replace('"packed": "10:/_tidegate0:', '"packed": "10:/_tidegate1:')],
        ["one of another version", good.replace(/"checked": "\w+"/, `"checked": "${"0".repeat(64)}"`)],
        ["not an object", "export default { packed: 7, passthrough: [] };"],
        ["empty", "export default {};"],
    ];
    for (const [what, module] of cases) {
        assert.notEqual(module, good, what);
        const gate = await startGate({ module });
        for (let n = 0; n < 2; n += 1) {
            const answer = await gate.get("/x");
            assert.equal(answer.status, 503, what);
            assert.equal(answer.headers["content-type"], "application/problem+json", what);
        }
        assert.match(gate.log(), /the configuration is wrong: .*build it anew/, what);
        assert.doesNotMatch(gate.log(), /panicked/, what);
        await gate.stop();
    }
    assert.equal(origin.requests.length, 0);
});

test("a changed policy needs no Rust compile: the same wasm, another behaviour", async () => {
    const [first, second] = [await startOrigin({ name: "first" }), await startOrigin({ name: "second" })];
    const gate = await startGate({ config: before(first.url) });
    assert.equal((await gate.get("/x")).text, "first");
    await gate.restart({ config: before(second.url) });
    assert.equal((await gate.get("/x")).text, "second");
});
