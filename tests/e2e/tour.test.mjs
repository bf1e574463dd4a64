// The README's tour, walked as it is written: each `$ ` line of its ```console blocks is run, and has to print what
// stands below it. There, … is any text within a line, and on a line of its own any lines.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before as beforeAll, describe, test } from "node:test";
import { ROOT, findPort } from "../../tools/gate.mjs";
import { eventually, pause } from "./client.mjs";

const README = readFileSync(join(ROOT, "README.md"), "utf8");
const HAS_CURL = spawnSync("curl", ["--version"]).status === 0;
/** What a reader's fingers take between two commands. */
const TYPING_MS = 300;

/** The shell sessions of a text: [{command, prints}]. */
function sessions(text) {
    return [...text.matchAll(/^```console\n(.*?)^```$/gms)].flatMap(([, session]) =>
        session
            .split(/^\$ /m)
            .slice(1)
            .map((step) => /^(?<command>(?:.*\\\n)*.*)\n(?<prints>[^]*)$/.exec(step).groups),
    );
}

/** The files that a text has its reader write: ```toml blocks that begin with their name as a comment. */
const files = (text) => [...text.matchAll(/^```toml\n# (\S+\.toml)\n.*?^```$/gms)].map(([block, name]) => [name, block.split("\n").slice(1, -1).join("\n")]);

const lines = (text) => text.replaceAll("\r", "").trimEnd().replace(/.$/, "$&\n");

function assertPrints(printed, expected) {
    const patterns = lines(expected)
        .split(/(?<=\n)/)
        .map((line) => (line === "…\n" ? "(?:.*\n)*?" : line.split("…").map(RegExp.escape).join(".*")));
    const actual = lines(printed);
    if (new RegExp(`^${patterns.join("")}$`).test(actual)) return;
    const message = "prints something else than the README says";
    throw new assert.AssertionError({ message, actual, expected: lines(expected), operator: "strictEqual" });
}

/** A stored response is at least as old as its reader has waited. */
function assertGrows(command, printed) {
    const slept = /^sleep (\d+);/.exec(command);
    if (slept) assert.ok(Number(/^Age: (\d+)/im.exec(printed)[1]) >= Number(slept[1]), printed);
}

/** `make dev` in a folder that looks like the repository to a reader; `ports` are those to take for the README's. */
function startDev(ports) {
    const folder = mkdtempSync(join(tmpdir(), "tidegate-tour-"));
    for (const name of ["build", "node_modules", "package.json", "wrangler.toml"]) symlinkSync(join(ROOT, name), join(folder, name));
    // A terminal would show no progress either.
    writeFileSync(join(folder, ".curlrc"), "no-progress-meter\n");
    const here = (text) => text.replace(/\b(8787|900[12])\b/g, (port) => ports.get(port));
    for (const [name, text] of [["tidegate.toml", readFileSync(join(ROOT, "tidegate.toml"), "utf8")], ...files(README)]) {
        writeFileSync(join(folder, name), here(text));
    }
    const env = {
        ...process.env,
        CURL_HOME: folder,
        no_proxy: "*",
        WRANGLER_SEND_METRICS: "false",
        PORT: ports.get("8787"),
        CONFIG: join(folder, "tidegate.toml"),
        STATE: join(folder, ".state"),
    };
    let printed = "";
    const child = spawn(process.execPath, [join(ROOT, "tools/dev.mjs")], { cwd: folder, env });
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (printed += text));
    const ended = new Promise((done) => child.once("exit", done));
    return {
        ready: () => Promise.race([eventually(() => assert.match(printed, /^dev: ready/m), 30_000), ended.then(() => assert.fail(printed))]),
        printed: () => printed,
        here,
        /** Runs a command as a reader would; both of its outputs, as a terminal shows them. */
        run: (command) =>
            new Promise((done) => {
                const shell = spawn("bash", ["-c", `exec 2>&1; ${here(command)}`], { cwd: folder, env });
                let out = "";
                shell.stdout.on("data", (text) => (out += text));
                shell.on("close", () => done(out));
            }),
        async stop() {
            child.kill();
            await ended;
            rmSync(folder, { recursive: true, force: true });
        },
    };
}

describe("the README's tour", { skip: !HAS_CURL && "there is no curl" }, () => {
    let dev;
    beforeAll(async () => {
        const ports = new Map();
        for (const port of ["8787", "9001", "9002"]) ports.set(port, String(await findPort(0)));
        dev = startDev(ports);
        await dev.ready();
    });
    after(() => dev?.stop());

    for (const { command, prints } of sessions(README)) {
        test(command.split("\n")[0], async () => {
            if (command === "make dev") return assertPrints(dev.printed(), dev.here(prints));
            await pause(TYPING_MS);
            const check = async () => {
                const printed = await dev.run(command);
                assertPrints(printed, dev.here(prints));
                assertGrows(command, printed);
            };
            // Figures arrive about a second after what they count.
            return command.includes("/_tidegate/") ? eventually(check, 10_000) : check();
        });
    }
});

test("the tour is long enough to be one, and notices what is not so", () => {
    assert.ok(sessions(README).length >= 8);
    assert.throws(() => assertPrints("HTTP/1.1 200 OK\r\n", "HTTP/1.1 404 Not Found\n"));
    assert.throws(() => assertPrints("one\ntwo\nthree\n", "one\nthree\n"));
    assert.throws(() => assertPrints("something\n", ""));
    assert.throws(() => assertPrints("", "something\n"));
    assert.throws(() => assertGrows("sleep 2; curl", "HTTP/1.1 200 OK\nAge: 1\n"));
    assertPrints("Age: 2\r\nx: y\n\nbody", "Age: …\n…\nbody\n");
    assertPrints("", "");
});
