// GETs of single things that come together are sent to the origin's batch endpoint as one.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, gate;
/** One that came alone may be compressed: nobody knew how long it would be. */
const told = ({ headers, bytes }) => JSON.parse(headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes);
const item = (id) => ({ id: Number(id), name: `Zoë ${id}` });

beforeAll(async () => {
    origin = await startOrigin();
    origin.otherwise(async (request, response, seen) => {
        await seen.ended;
        const url = new URL(request.url, "http://x");
        const ids = url.pathname === "/api/posts/batch" ? JSON.parse(seen.body) : url.searchParams.get("ids")?.split(",");
        const [id] = url.pathname.split("/").slice(-1);
        const [status, body] = ids ? [200, ids.filter((one) => one !== "404").map(item)] : id === "404" ? [404, { error: "no such thing" }] : [200, item(id)];
        response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "max-age=60" }).end(JSON.stringify(body));
    });
    gate = await startGate({
        config: `
[origins.default]
url = "${origin.url}"
[[routes]]
name = "users"
match = { path = "/api/users/*" }
batch = { ask = "/api/users/{id} -> /api/users?ids={ids}", wait = "20ms" }
[[routes]]
name = "posts"
match = { path = "/api/posts/*" }
batch = { ask = "/api/posts/{id} -> POST /api/posts/batch", wait = "20ms" }
`,
        env: { RATE_LIMIT_ENABLED: "false" },
    });
});

for (const [kind, request] of [["users", "GET /api/users?ids="], ["posts", "POST /api/posts/batch"]]) {
    test(`twenty ${kind} at once cost a few requests, and each is what it was asked for`, async () => {
        await gate.get("/"); // the isolate is awake
        origin.clear();
        const ids = Array.from({ length: 20 }, (_, n) => n + 1);
        const answers = await Promise.all(ids.map((id) => gate.get(`/api/${kind}/${id}`, { headers: { "Accept-Encoding": "gzip" } })));
        assert.deepEqual(answers.map((answer) => [answer.status, told(answer)]), ids.map((id) => [200, item(id)]));
        const together = origin.requests.filter(({ method, url }) => `${method} ${url}`.startsWith(request));
        assert.ok(together.length >= 1 && origin.requests.length <= 10, `${origin.requests.length} requests`);
        const again = await Promise.all(ids.map((id) => gate.get(`/api/${kind}/${id}`)));
        assert.ok(again.every(({ headers }) => /; hit/.test(headers["cache-status"])));
    });

    test(`one of the ${kind} that there is not is a 404 of its own`, async () => {
        const answers = await Promise.all(["31", "404", "32"].map((id) => gate.get(`/api/${kind}/${id}`)));
        assert.deepEqual(answers.map(({ status }) => status), [200, 404, 200]);
        assert.deepEqual(answers[1].json(), { error: "no such thing" });
    });
}
