// An HTTP API with a real PostgreSQL behind it, as somebody would put it behind the gate.
import assert from "node:assert/strict";
import { before as beforeAll, describe, test } from "node:test";
import { before, eventually, startGate } from "./harness.mjs";
import { startTodoApi } from "./origins/todo.mjs";
import { stopLater } from "./harness.mjs";

let api, gate;
const json = (value) => ({ body: JSON.stringify(value), headers: { "Content-Type": "application/json" } });

beforeAll(async () => {
    api = stopLater(await startTodoApi());
    gate = await startGate({ config: before(api.url), env: { RATE_LIMIT_ENABLED: "false" } });
});

describe("a todo list", () => {
    let id;

    test("an item is created, and found again", async () => {
        const created = await gate.get("/api/todos", { method: "POST", ...json({ title: "buy déjà vu" }) });
        assert.equal(created.status, 201);
        id = created.json().id;
        assert.equal(created.headers.location, `/api/todos/${id}`);
        const found = await gate.get(`/api/todos/${id}`);
        assert.equal(found.status, 200);
        assert.deepEqual(found.json(), { id, title: "buy déjà vu", done: false });
    });

    test("reading it again costs no query, and a client that has it gets a 304", async () => {
        const first = await gate.get(`/api/todos/${id}`);
        await eventually(async () => assert.match((await gate.get(`/api/todos/${id}`)).headers["cache-status"], /; hit/));
        const queries = api.queries();
        for (let n = 0; n < 10; n += 1) await gate.get(`/api/todos/${id}`);
        const again = await gate.get(`/api/todos/${id}`, { headers: { "If-None-Match": first.headers.etag } });
        assert.equal(again.status, 304);
        assert.equal(api.queries(), queries);
    });

    test("the list is never stored", async () => {
        const queries = api.queries();
        for (let n = 0; n < 3; n += 1) assert.equal((await gate.get("/api/todos")).json().length, 1);
        assert.equal(api.queries(), queries + 3);
    });

    test("a change through the gate is seen at once", async () => {
        const changed = await gate.get(`/api/todos/${id}`, { method: "PUT", ...json({ title: "bought", done: true }) });
        assert.equal(changed.status, 200);
        const seen = await gate.get(`/api/todos/${id}`);
        assert.deepEqual(seen.json(), { id, title: "bought", done: true });
    });

    test("a change on a wrong assumption is refused by the origin", async () => {
        const { body, headers } = json({ title: "lost update", done: false });
        const answer = await gate.get(`/api/todos/${id}`, { method: "PUT", body, headers: { ...headers, "If-Match": '"not this one"' } });
        assert.equal(answer.status, 412);
        assert.equal((await gate.get(`/api/todos/${id}`)).json().title, "bought");
    });

    test("a hundred items created at once are a hundred items", async () => {
        const created = await Promise.all(Array.from({ length: 100 }, (_, n) => gate.get("/api/todos", { method: "POST", ...json({ title: `item ${n}` }) })));
        assert.deepEqual([...new Set(created.map(({ status }) => status))], [201]);
        assert.equal(new Set(created.map((answer) => answer.json().id)).size, 100);
        assert.equal((await gate.get("/api/todos")).json().length, 101);
    });

    test("what was deleted is gone", async () => {
        assert.equal((await gate.get(`/api/todos/${id}`, { method: "DELETE" })).status, 204);
        assert.equal((await gate.get(`/api/todos/${id}`)).status, 404);
    });

    test("what the database refuses is the client's to see", async () => {
        const answer = await gate.get("/api/todos", { method: "POST", ...json({ title: "" }) });
        assert.equal(answer.status, 422);
        assert.match(answer.json().error, /check constraint/);
    });
});
