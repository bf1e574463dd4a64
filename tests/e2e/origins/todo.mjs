// A todo API over HTTP with a real PostgreSQL.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import pg from "pg";
import { connected, startDatabase } from "./postgres.mjs";

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
