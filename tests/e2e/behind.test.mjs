// Write-behind in workerd: what was accepted arrives, whatever dies in between.
import assert from "node:assert/strict";
import { before as beforeAll, describe, test } from "node:test";
import { before, eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const ROUTES = `
[[routes]]
name = "urgent"
match = { path = "/urgent/**" }
write_behind = { priority = 9, backoff_base = "100ms", backoff_cap = "1s" }
[[routes]]
name = "orders"
match = { path = "/orders/**" }
write_behind = { backoff_base = "100ms", backoff_cap = "1s", attempts_max = 100, body_bytes_max = "1MiB" }
[[routes]]
name = "rest"
`;
const ENV = { RATE_LIMIT_ENABLED: "false", TIDEGATE_ADMIN_TOKEN: "secret" };

let origin, gate;
const post = (path, body, headers = {}) => gate.get(path, { method: "POST", body, headers });
const admin = (path, method = "GET") => gate.get(`/_tidegate/admin/${path}`, { method, headers: { Authorization: "Bearer secret" } });
const state = async (accepted) => (await gate.get(accepted.json().status_url)).json();

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: before(origin.url, ROUTES), env: ENV });
});

test("a change is accepted, arrives byte by byte, and its status tells", async () => {
    const body = Buffer.from(Array.from({ length: 900_000 }, (_, n) => n % 251));
    let came;
    origin.on("/orders/1", async (request, response) => {
        came = Buffer.concat(await Array.fromAsync(request));
        response.writeHead(201, { Location: "/orders/1/made" }).end("made");
    });
    const accepted = await post("/orders/1?x=%20", body, { "Content-Type": "application/x-own", Cookie: "a=b; c=d" });
    assert.equal(accepted.status, 202);
    assert.equal(accepted.headers.location, accepted.json().status_url);
    assert.equal(accepted.headers["cache-control"], "no-store");
    const told = await eventually(async () => {
        const told = await state(accepted);
        assert.equal(told.status, "delivered");
        return told;
    });
    assert.deepEqual([told.id, told.attempts, told.origin_status], [accepted.json().id, 1, 201]);
    assert.ok(came.equals(body));
    const seen = origin.last();
    assert.deepEqual([seen.method, seen.url, seen.headers["content-type"], seen.headers.cookie, seen.headers["idempotency-key"]], ["POST", "/orders/1?x=%20", "application/x-own", "a=b; c=d", told.id]);
    assert.equal(seen.headers["x-forwarded-for"], "127.0.0.1");
    assert.equal((await gate.get(`/_tidegate/deliveries/default/${"0".repeat(32)}`)).status, 404);
});

test("while the origin is down changes are kept, and a kill -9 in the middle loses none", async () => {
    await origin.kill();
    const accepted = await Promise.all(Array.from({ length: 40 }, (_, n) => post("/orders/2", `change ${n}`)));
    assert.deepEqual([...new Set(accepted.map(({ status }) => status))], [202]);
    await eventually(async () => assert.equal((await state(accepted[0])).status, "retrying"));
    // Some are delivered, some are under way, some wait: then everything is gone but the disk.
    const slow = [];
    origin.on("/orders/2", async (request, response, seen) => {
        await seen.ended;
        slow.push(seen.body);
        if (slow.length > 15) await pause(1000);
        response.end("ok");
    });
    origin.clear();
    await origin.revive();
    await eventually(() => assert.ok(slow.length >= 18), 15_000);
    process.kill(gate.pid, "SIGKILL");
    await gate.restart();
    const arrived = () => new Map(origin.to("/orders/2").filter(({ complete }) => complete).map((seen) => [seen.body, seen.headers["idempotency-key"]]));
    await eventually(() => assert.equal(arrived().size, 40), 30_000);
    for (const [n, answer] of accepted.entries()) assert.equal(arrived().get(`change ${n}`), answer.json().id);
    await eventually(async () => assert.equal((await state(accepted[39])).status, "delivered"), 10_000);
    console.log(`40 accepted; 40 arrived, in ${origin.to("/orders/2").length} attempts since the origin came back`);
});

test("what is urgent goes first", async () => {
    await eventually(async () => assert.equal((await admin("deliveries")).json().default.pending, 0));
    const { promise: released, resolve: release } = Promise.withResolvers();
    origin.on("/orders/3", async (request, response) => (await released, response.end("ok")));
    origin.clear();
    const send = async (path, count) => {
        for (let n = 0; n < count; n += 1) assert.equal((await post(path, `${n}`)).status, 202);
    };
    await send("/orders/3", 4);
    await eventually(() => assert.equal(origin.requests.length, 4));
    // Those that are under way take all the places; these wait.
    await send("/orders/3", 8);
    await send("/urgent/3", 4);
    assert.equal(origin.requests.length, 4);
    release();
    await eventually(() => assert.equal(origin.requests.length, 16));
    assert.deepEqual(origin.requests.slice(4, 8).map(({ url }) => url), Array(4).fill("/urgent/3"));
});

test("what the origin refuses is a dead letter that is listed, and delivered once it is replayed", async () => {
    origin.on("/orders/4", { status: 422, body: "no such article" });
    const accepted = await post("/orders/4", "x");
    await eventually(async () => assert.equal((await state(accepted)).status, "dead"));
    assert.equal((await gate.get("/_tidegate/admin/deliveries")).status, 401);
    const { dead_letters: letters, dead } = (await admin("deliveries")).json().default;
    const letter = letters.find(({ id }) => id === accepted.json().id);
    assert.equal(dead, letters.length);
    assert.deepEqual([letter.origin_status, letter.request, letter.attempts, letter.reason], [422, `POST ${gate.url}/orders/4`, 1, "the origin answered 422"]);
    assert.equal((await admin("deliveries/replay")).status, 405);
    origin.on("/orders/4", { status: 200, body: "now it is there" });
    assert.deepEqual((await admin(`deliveries/replay?id=${letter.id}`, "POST")).json(), { replayed: 1 });
    await eventually(async () => assert.equal((await state(accepted)).status, "delivered"));
    assert.equal((await admin("deliveries")).json().default.dead, 0);
});

describe("an Idempotency-Key", () => {
    test("of the client's makes the same change out of two, also after it was delivered", async () => {
        const one = await post("/orders/5", "x", { "Idempotency-Key": "k" });
        await eventually(async () => assert.equal((await state(one)).status, "delivered"));
        const other = await post("/orders/5", "x", { "Idempotency-Key": "k" });
        assert.deepEqual(other.json(), { ...one.json(), status: "delivered" });
        assert.equal((await post("/orders/5", "y", { "Idempotency-Key": "k" })).status, 422);
        assert.deepEqual(origin.to("/orders/5").map(({ headers }) => headers["idempotency-key"]), ["k"]);
    });

    test("of another client is another", async () => {
        const send = (headers, from) => gate.get("/orders/7", { method: "POST", body: "x", headers: { "Idempotency-Key": "k", ...headers }, from });
        const all = await Promise.all([send({}), send({}, "127.0.0.7"), send({ Cookie: "a=1" }), send({ Cookie: "a=2" }), send({ Authorization: "Basic eDp5" })]);
        assert.equal(new Set(all.map((answer) => answer.json().id)).size, 5);
        await eventually(() => assert.equal(origin.to("/orders/7").length, 5));
    });
});

test("what is too long is refused, and what reads is not delayed", async () => {
    assert.equal((await post("/orders/6", Buffer.alloc(1024 * 1024 + 1))).status, 413);
    assert.equal((await gate.get("/orders/6")).status, 200);
});
