// Server-Timing: on every response, where the deployment wants that.
import assert from "node:assert/strict";
import { test } from "node:test";
import { before, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const parsed = ({ headers }) => Object.fromEntries((headers["server-timing"] ?? "").split(", ").filter(Boolean).map((metric) => {
    const [name, ...parameters] = metric.split(";");
    return [name, Object.fromEntries(parameters.map((parameter) => parameter.split("=").map((text) => text.replace(/^"(.*)"$/, "$1"))))];
}));

test("a response tells where its time went", async () => {
    const origin = await startOrigin();
    origin.on("/api/x", async (_, response) => {
        await pause(50);
        response.writeHead(200, { "Cache-Control": "max-age=60", "Server-Timing": "db;dur=40", "Content-Length": 2 }).end("ok");
    });
    const gate = await startGate({ config: `[server]\ntiming = true\n${before(origin.url)}` });
    const first = parsed(await gate.get("/api/x"));
    assert.deepEqual(Object.keys(first), ["db", "limit", "cache", "origin", "total"]);
    assert.equal(first.limit.desc, "object");
    assert.equal(first.origin.desc, new URL(origin.url).host);
    const spent = ["limit", "cache", "origin"].reduce((sum, name) => sum + Number(first[name].dur), 0);
    assert.equal(spent, Number(first.total.dur));
    assert.ok(Number(first.origin.dur) > 0);
    const second = parsed(await gate.get("/api/x"));
    assert.deepEqual([Object.keys(second), second.cache.desc], [["db", "limit", "cache", "total"], "memory"]);
    assert.ok("total" in parsed(await gate.get("/page")));
    const other = await startGate({ config: before(origin.url) });
    assert.equal((await other.get("/page")).headers["server-timing"], undefined);
});
