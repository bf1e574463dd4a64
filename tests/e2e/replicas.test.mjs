// A real PostgreSQL primary and a streaming replica whose replay is two seconds late: a client never reads its own write
// stale, others may.
import assert from "node:assert/strict";
import http from "node:http";
import { before as beforeAll, describe, test } from "node:test";
import pg from "pg";
import { eventually, pause, startGate, stopLater } from "./harness.mjs";
import { connected, startDatabase } from "./origins/postgres.mjs";

let primary, replica;

/** An API before one of the two: `PUT /notes/N` with a number, `GET /notes/N`. */
async function startApi(name, pool) {
    const one = async (text, values) => (await pool.query(text, values)).rows[0];
    const answer = async (request, body) => {
        const [, id] = /^\/notes\/(\d+)/.exec(request.url) ?? [];
        if (request.method === "PUT") {
            await one("INSERT INTO note VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET number = $2", [id, Number(body)]);
            return [200, "written", { "X-Position": (await one("SELECT pg_current_wal_insert_lsn() AS lsn")).lsn }];
        }
        // The place in the log before the value: what is read then is at least as new.
        const place = "SELECT pg_last_wal_replay_lsn() AS lsn, extract(epoch FROM now() - pg_last_xact_replay_timestamp()) AS lag";
        const { lsn, lag } = name === "replica" ? await one(place) : {};
        const told = { ...(lsn && { "X-Position": lsn }), ...(lag && { "X-Lag": lag }) };
        if (request.url === "/lag") return [200, "see the fields", told];
        const row = id && (await one("SELECT number FROM note WHERE id = $1", [id]));
        const cacheable = request.url.includes("cached") ? "public, max-age=3600" : "no-store";
        return [200, String(row?.number ?? 0), { "Cache-Control": cacheable, ...told }];
    };
    const server = http.createServer(async (request, response) => {
        const body = Buffer.concat(await Array.fromAsync(request)).toString();
        const [status, text, headers] = await answer(request, body).catch((error) => [500, error.message, {}]);
        response.writeHead(status, { "X-Served-By": name, "Content-Length": Buffer.byteLength(text), ...headers }).end(request.method === "HEAD" ? undefined : text);
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const stop = () => (server.closeAllConnections(), new Promise((done) => server.close(done)), pool.end());
    return stopLater({ url: `http://127.0.0.1:${server.address().port}`, stop });
}

beforeAll(async () => {
    const database = await startDatabase({ replicaDelay: "2s" });
    const [one, other] = [database.url, database.replica].map((url) => new pg.Pool({ connectionString: url, max: 8 }));
    for (const pool of [one, other]) pool.on("error", () => {}); // a connection that breaks at the end
    await connected(one);
    await one.query("CREATE TABLE note (id int PRIMARY KEY, number int NOT NULL)");
    await connected(other);
    await eventually(() => other.query("SELECT 1 FROM note"), 20_000);
    [primary, replica] = [await startApi("primary", one), await startApi("replica", other)];
    stopLater(database);
});

const gateWith = (keys) => startGate({
    config: `[origins.default.split]\nprimary = "${primary.url}"\nreplicas = ["${replica.url}"]\n${keys}`,
    env: { RATE_LIMIT_ENABLED: "false" },
});

/** A browser: it keeps its cookie. */
function client(gate) {
    let cookie;
    const send = async (path, more = {}) => {
        const answer = await gate.get(path, { ...more, headers: { ...more.headers, ...(cookie && { Cookie: cookie }) } });
        cookie = answer.headers["set-cookie"]?.[0].split(";")[0] ?? cookie;
        return answer;
    };
    return {
        write: async (path, number) => assert.equal((await send(path, { method: "PUT", body: String(number) })).headers["x-served-by"], "primary"),
        async read(path) {
            const { text, headers } = await send(path);
            return { number: Number(text), by: headers["x-served-by"], hit: /; hit/.test(headers["cache-status"]) };
        },
    };
}

/** Reads again and again for so long; every read is given to `check`. */
async function reading(who, path, milliseconds, check) {
    const reads = [];
    for (const until = performance.now() + milliseconds; performance.now() < until; await pause(50)) {
        const read = await who.read(path);
        check(read);
        reads.push(read);
    }
    return reads;
}

for (const [what, keys] of [
    ["a replica that says nothing", 'lag_max = "4s"'],
    ["a replica that says where it is in the log", 'lag_max = "1m"\nposition_header = "X-Position"'],
    ["a replica that says how far behind it is", 'lag_max = "1m"\nlag_header = "X-Lag"\nposition_header = "none"'],
]) {
    describe(what, () => {
        let gate;
        beforeAll(async () => {
            gate = await gateWith(`${keys}\nprobe = "/lag"`);
        });

        test("its own writes are read by a client at once, and by others later", async () => {
            const [writer, other] = [client(gate), client(gate)];
            let staleToOthers = 0;
            for (let number = 1; number <= 3; number += 1) {
                await writer.write("/notes/1", number);
                const others = reading(other, "/notes/1", 900, (read) => { staleToOthers += Number(read.number < number); });
                const own = await reading(writer, "/notes/1", 900, (read) => assert.ok(read.number >= number, `it wrote ${number} and read ${read.number}`));
                await others;
                assert.ok(own.every(({ by }) => by === "primary"), "the replica can't be there yet");
            }
            assert.ok(staleToOthers > 0, "nothing was put to the test");
        });

        test("a write to another row of many is no exception, nor is a stored response", async () => {
            const [writer, other] = [client(gate), client(gate)];
            for (let number = 1; number <= 3; number += 1) {
                await other.read("/notes/2?cached");
                await writer.write("/notes/2?cached", number);
                await other.read("/notes/2?cached");
                await reading(writer, "/notes/2?cached", 300, (read) => assert.ok(read.number >= number, `it wrote ${number} and read ${read.number}`));
            }
            await pause(2500);
            await reading(writer, "/notes/2?cached", 2500, (read) => assert.equal(read.number, 3));
        });

        test("once the replica has caught up, it is read again", async () => {
            const writer = client(gate);
            await writer.write("/notes/3", 7);
            const started = performance.now();
            // Commits go on, as they do: a replica's lag is known by what it replays.
            const busy = setInterval(() => client(gate).write("/notes/4", 1).catch(() => {}), 100);
            try {
                await eventually(async () => {
                    const read = await writer.read("/notes/3");
                    assert.equal(read.number, 7);
                    assert.equal(read.by, "replica");
                }, 9000);
            } finally {
                clearInterval(busy);
            }
            const after = performance.now() - started;
            assert.ok(after > 1900, `the replica replays after 2 s, and was read after ${after} ms`);
            console.log(`${what}: read again ${Math.round(after)} ms after the write`);
        });
    });
}

test("without a bookmark reads go to the replica, and a forged one changes nothing", async () => {
    const gate = await gateWith("");
    for (const headers of [{}, { Cookie: "tidegate_bookmark=19c0.0.0.AAAAAAAAAAAAAAAAAAAAAA" }, { "X-Tidegate-Bookmark": "x" }]) {
        assert.equal((await gate.get("/notes/1", { headers })).headers["x-served-by"], "replica");
    }
    const written = await gate.get("/notes/1", { method: "PUT", body: "9" });
    const mark = written.headers["x-tidegate-bookmark"];
    assert.match(written.headers["set-cookie"][0], /^tidegate_bookmark=[0-9a-f]+\.[0-9a-f]*\.[0-9a-f]+\.[\w-]{22}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax$/);
    assert.equal((await gate.get("/notes/1", { headers: { "X-Tidegate-Bookmark": mark } })).text, "9");
    await gate.restart();
    assert.equal((await gate.get("/notes/1", { headers: { "X-Tidegate-Bookmark": mark } })).headers["x-served-by"], "primary", "another isolate believes it, too");
});
