// Clients that go away before they are answered. Over plain TCP workerd hears of it when the connection is reset.
import assert from "node:assert/strict";
import net from "node:net";
import { before as beforeAll, test } from "node:test";
import { eventually, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, gate;
beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({
        config: `
[origins.default]
url = "${origin.url}"
[origins.one]
url = "${origin.url}"
concurrency = "1"
queue = "0s"
[limits.policies.flight]
algorithm = "concurrency"
quota = "1/1m"
[limits.queues.narrow]
max_concurrent = 1
[[routes]]
name = "queue"
match = { path = "/queue/**" }
queue = "narrow"
cache = { enabled = false }
[[routes]]
name = "flight"
match = { path = "/flight/**" }
limits = ["flight"]
cache = { enabled = false }
[[routes]]
name = "one"
match = { path = "/one/**" }
origin = "one"
cache = { enabled = false }
[[routes]]
name = "plain"
match = { path = "/plain/**" }
cache = { enabled = false }
[[routes]]
name = "rest"
`,
    });
});

/** Sends a request and goes away when told to, without having been answered. */
function visitor(method, path) {
    const { hostname, port, host } = new URL(gate.url);
    const socket = net.connect(port, hostname, () => socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\n\r\n`));
    socket.on("error", () => {});
    return { leave: () => socket.resetAndDestroy() };
}

/** An origin that never answers the first request for this path, and tells when it was let go; all others get 200. */
function holdsFirst(path) {
    const held = { came: 0, gone: false };
    origin.on(path, (request, response) => {
        held.came += 1;
        if (held.came > 1) return response.writeHead(200, { "Cache-Control": "no-store", "Content-Length": 2 }).end("ok");
        held.answer = () => response.writeHead(200, { "Cache-Control": "max-age=60", "Content-Length": 5 }).end("first");
        response.on("close", () => { held.gone = true; });
    });
    return held;
}

for (const [method, path] of [["GET", "/plain/x"], ["POST", "/post"], ["GET", "/queue/x"], ["GET", "/flight/x"], ["GET", "/one/x"]]) {
    test(`a ${method} of ${path} ends at its origin, and its place is free`, async () => {
        const held = holdsFirst(path);
        const first = visitor(method, path);
        await eventually(() => assert.equal(held.came, 1));
        first.leave();
        await eventually(() => assert.ok(held.gone));
        await eventually(async () => assert.equal((await gate.get(path, { method })).status, 200));
    });
}

test("who waits in the queue leaves it", async () => {
    const held = holdsFirst("/queue/y");
    const first = visitor("GET", "/queue/y");
    await eventually(() => assert.equal(held.came, 1));
    const second = visitor("GET", "/queue/y");
    const waiting = async () => (await gate.get("/queue/z", { stream: true })).headers["x-queue-position"];
    const third = waiting();
    await eventually(() => assert.ok(held.came === 1));
    second.leave();
    first.leave();
    assert.ok(Number(await third) <= 2);
    await eventually(async () => assert.equal(await waiting(), "0"));
    assert.equal(held.came, 1, "the second never got to the origin");
});

test("those who wait for the same get it, though the first one leaves", async () => {
    const held = holdsFirst("/shared");
    const first = visitor("GET", "/shared");
    await eventually(() => assert.equal(held.came, 1));
    const second = gate.get("/shared");
    // It is there once what comes after it is answered.
    assert.equal((await gate.get("/other")).status, 200);
    first.leave();
    assert.equal((await gate.get("/another")).status, 200);
    held.answer();
    const answer = await second;
    assert.deepEqual([answer.status, answer.text, held.came], [200, "first", 1]);
    assert.match(answer.headers["cache-status"], /collapsed|hit/);
});

test("nobody is blamed", async () => {
    const metrics = (await gate.get("/_tidegate/metrics")).text;
    assert.doesNotMatch(metrics, /tidegate_requests_total\{[^}]*status="5xx"\} [1-9]/);
});
