// Changes that have to say what they change, as curl and a real origin see it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { before, eventually, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

test("no client overwrites what it has not seen", async () => {
    const origin = await startOrigin();
    let state = { tag: '"1"', body: "one" };
    origin.otherwise(async (request, response, seen) => {
        await seen.ended;
        const headers = { ETag: state.tag, "Cache-Control": "max-age=60", "Content-Type": "application/json" };
        if (request.method === "GET") return response.writeHead(200, headers).end(state.body.padEnd(4000, "."));
        if (request.headers["if-match"] !== state.tag) return response.writeHead(412).end("by the origin");
        state = { tag: `"${Number(state.tag.slice(1, -1)) + 1}"`, body: seen.body };
        return response.writeHead(204, { ETag: state.tag }).end();
    });
    const gate = await startGate({ config: before(origin.url, `[[routes]]\nname = "all"\nrequire_precondition = true\n`) });
    const put = (headers, method = "PUT") => gate.get("/doc", { method, headers, body: "two" });
    const origins = () => origin.requests.filter(({ method }) => method !== "GET").length;

    assert.equal((await put({})).status, 428);
    assert.equal((await put({}, "PATCH")).status, 428);
    assert.equal((await put({}, "DELETE")).status, 428);
    assert.equal(origins(), 0);

    const seen = await gate.get("/doc", { headers: { "Accept-Encoding": "gzip" } });
    assert.equal(seen.headers.etag, '"1"');
    await eventually(async () => assert.match((await gate.get("/doc")).headers["cache-status"], /hit/));
    const refused = await put({ "If-Match": '"0"' });
    assert.equal(refused.status, 412);
    assert.equal(refused.headers["content-type"], "application/problem+json");
    assert.match(refused.headers["cache-status"], /^tidegate; hit; ttl=\d+; detail=memory$/);
    assert.equal(origins(), 0);

    await gate.restart();
    assert.match((await put({ "If-Match": '"0"' })).headers["cache-status"], /detail=colo$/);
    assert.equal(origins(), 0);

    assert.equal((await put({ "If-Match": '"1"' })).status, 204);
    assert.equal((await put({ "If-Match": '"1"' })).text, "by the origin");
    assert.match((await gate.get("/doc")).text, /^two/);
});
