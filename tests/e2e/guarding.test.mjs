// What keeps an origin's faults from clients, as far as only the real platform can show it.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before as beforeAll, describe, test } from "node:test";
import { eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const two = (a, b, pool = "", route = "") => `
[origins.default]
${pool}
[[origins.default.endpoints]]
name = "a"
url = "${a.url}"
[[origins.default.endpoints]]
name = "b"
url = "${b.url}"
priority = 1
[[routes]]
name = "all"
${route}
`;

/** A rule under which a request hangs; tells when its connection was closed. */
function hanging() {
    const seen = { closed: false };
    seen.rule = (request, response) => response.on("close", () => { seen.closed = true; });
    return seen;
}

/** Sends a request, and breaks the connection as soon as the origin has it. */
async function leave(gate, origin, path, method) {
    const request = http.request(gate.url + path, { method, agent: false });
    request.on("error", () => {});
    request.end();
    await eventually(async () => assert.equal(origin.to(path).length, 1));
    request.socket.resetAndDestroy();
}

describe("two origins", () => {
    let a, b, gate;
    beforeAll(async () => {
        a = await startOrigin({ name: "a" });
        b = await startOrigin({ name: "b" });
    });
    after(async () => { await a.stop(); await b.stop(); });
    const start = async (pool, route) => {
        a.clear();
        b.clear();
        await gate?.stop();
        gate = await startGate({ config: two(a, b, pool, route) });
    };

    test("the slower of two attempts is let go: its connection is closed", async () => {
        await start("", `hedge = "100ms"`);
        const slow = hanging();
        a.on("/slow", slow.rule);
        const answer = await gate.get("/slow");
        assert.equal(answer.text, "b");
        assert.ok(answer.ms < 2000, `${answer.ms} ms`);
        await eventually(async () => assert.ok(slow.closed));
        assert.match((await eventually(async () => {
            const metrics = (await gate.get("/_tidegate/metrics")).text;
            assert.match(metrics, /^tidegate_hedges_total 1$/m);
            return metrics;
        })), /tidegate_origin_attempts_total 2/);
    });

    test("a body that stands still is broken off; one that only is slow comes whole, with its length", async () => {
        await start(`body_idle_timeout = "400ms"`);
        a.on("/stalls", (request, response) => {
            response.writeHead(200, { "Content-Length": 10, "Cache-Control": "no-store" });
            response.write("half");
        });
        await assert.rejects(gate.get("/stalls"), /aborted|hang up|ECONNRESET/);
        a.on("/drips", async (request, response) => {
            response.writeHead(200, { "Content-Length": 6, "Cache-Control": "no-store" });
            for (const letter of "steady") (response.write(letter), await pause(100));
            response.end();
        });
        const answer = await gate.get("/drips");
        assert.equal(answer.text, "steady");
        assert.equal(answer.headers["content-length"], "6");
        a.on("/chunks", async (request, response) => {
            response.writeHead(200, { "Cache-Control": "no-store" });
            for (const letter of "steady") (response.write(letter), await pause(50));
            response.end();
        });
        assert.equal((await gate.get("/chunks")).text, "steady");
    });

    test("a large body comes whole past the watch", async () => {
        await start(`body_idle_timeout = "5s"`);
        const body = Buffer.alloc(3_000_000, "x");
        a.on("/large", { headers: { "Cache-Control": "no-store" }, body });
        assert.equal((await gate.get("/large")).bytes.length, body.length);
    });

    test("a client that goes ends its request to the origin", async () => {
        await start();
        const slow = hanging();
        a.on("/gone", slow.rule);
        await leave(gate, a, "/gone", "POST");
        await eventually(async () => assert.ok(slow.closed));
    });

    test("but not one whose answer others wait for, or that is to be stored", async () => {
        await start();
        a.on("/shared", async (request, response) => {
            await pause(600);
            response.writeHead(200, { "Cache-Control": "max-age=60" });
            response.end("for all");
        });
        await leave(gate, a, "/shared", "GET");
        await eventually(async () => assert.match((await gate.get("/shared")).headers["cache-status"], /hit|collapsed/));
        assert.equal(a.to("/shared").length, 1);
    });

    test("an error page with status 200 is no answer", async () => {
        await start(`fail_when = [{ header = "content-type: text/html*", body = "Fatal error" }]`);
        a.on("/page", { headers: { "Content-Type": "text/html", "Cache-Control": "max-age=60" }, body: "<b>Fatal error</b> in line 3" });
        assert.equal((await gate.get("/page")).text, "b");
        a.on("/fine", { headers: { "Content-Type": "text/html", "Cache-Control": "no-store" }, body: "<b>fine</b>" });
        const fine = await gate.get("/fine");
        assert.equal(fine.text, "<b>fine</b>");
        assert.equal(fine.headers["content-length"], "11");
    });

    test("a request that would ask for more than the platform allows is refused before", async () => {
        const retry = `attempts_max = 10\nbreaker = { failures = 0, failure_ratio = 0.0 }\nretry = { budget_min_per_second = 100, backoff_base = "0s" }`;
        const pools = ["more", "most"].map((name) => `[origins.${name}]\nurl = "${a.url}"\n${retry}`).join("\n");
        await start(`${retry}\nfallback = ["more", "most"]`, `cache = "off"\n[server]\nsubrequests_max = 20\n${pools}`);
        const broken = { status: 503, body: "broken" };
        a.on("/broken", broken);
        b.on("/broken", broken);
        const answer = await gate.get("/broken");
        assert.equal(answer.status, 503);
        assert.match(answer.headers["proxy-status"], /error=connection_limit_reached;.*subrequests spent/);
        assert.ok(Number(answer.headers["retry-after"]) >= 1);
        assert.equal(a.to("/broken").length + b.to("/broken").length, 12);
    });

    test("what is too much for an origin goes elsewhere", async () => {
        await start(`concurrency = "2"`, `cache = "off"`);
        a.otherwise(async (request, response) => (await pause(300), response.end("a")));
        const answers = await Promise.all(Array.from({ length: 4 }, (_, n) => gate.get(`/${n}`)));
        assert.deepEqual(answers.map(({ text }) => text).sort(), ["a", "a", "b", "b"]);
        a.otherwise({ headers: { "Cache-Control": "no-store" }, body: "a" });
    });
});
