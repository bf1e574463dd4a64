// Active health: an endpoint that is killed is ejected by its probe before any request meets it, and comes back.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before as beforeAll, test } from "node:test";
import { eventually, pause, startGate, stopLater } from "./harness.mjs";
import { findPort } from "../../tools/gate.mjs";

/** An origin in a process of its own, so that it can be killed as such. */
const SOURCE = `
import http from "node:http";
const [name, port] = process.argv.slice(1);
let ill = false;
http.createServer((request, response) => {
    request.resume();
    if (request.url === "/ill") ill = true;
    if (request.url === "/well") ill = false;
    if (request.url === "/up") return response.writeHead(200).end(ill ? "database down" : "all up");
    response.writeHead(200, { "Cache-Control": "no-store" }).end(name);
}).listen(Number(port), "127.0.0.1", () => console.log("ready"));
`;

async function startProcess(name, port) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", SOURCE, name, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    return stopLater({ child, stop: () => child.kill("SIGKILL") });
}

let ports, a, b, gate;
beforeAll(async () => {
    ports = [await findPort(0), await findPort(0)];
    [a, b] = [await startProcess("a", ports[0]), await startProcess("b", ports[1])];
    gate = await startGate({
        fault: true,
        config: `
[origins.default]
health = { path = "/up", status = 200, body = "all up", interval = "1s", timeout = "500ms", unhealthy_threshold = 2, healthy_threshold = 2 }
[[origins.default.endpoints]]
name = "a"
url = "http://127.0.0.1:${ports[0]}"
[[origins.default.endpoints]]
name = "b"
url = "http://127.0.0.1:${ports[1]}"
priority = 1
[[routes]]
name = "all"
cache = "off"
`,
    });
});
after(() => gate.stop());

/** No failure of a POST can be hidden: who meets a dead endpoint with one, sees it. */
const post = async () => {
    const answer = await gate.get("/order", { method: "POST", body: "one" });
    assert.equal(answer.status, 200, answer.text);
    return answer.text;
};
const health = async () => (await gate.get("/_tidegate/health")).json();
const becomes = (name, deadline) => eventually(async () => {
    const document = await health();
    const ill = document.reasons.filter(({ code }) => code === "probe-failed").map(({ detail }) => detail);
    assert.equal(ill.some((detail) => detail.startsWith("default/a:")), name === "b", JSON.stringify(document));
}, deadline);

test("killed with SIGKILL, an endpoint is ejected by its probe, and no request meets it; back, it gets them again", async () => {
    assert.equal(await post(), "a");
    a.child.kill("SIGKILL");
    // What can be sent again is answered all the time.
    const until = Date.now() + 6000;
    while (Date.now() < until) {
        assert.equal((await gate.get("/page")).status, 200);
        await pause(100);
    }
    await becomes("b", 1000);
    // And by now what cannot, too.
    for (let n = 0; n < 20; n += 1) {
        assert.equal(await post(), "b");
        await pause(50);
    }
    assert.equal((await health()).status, "degraded");
    [a] = [await startProcess("a", ports[0])];
    await becomes("a", 10_000);
    await eventually(async () => assert.equal(await post(), "a"), 5000);
});

test("an endpoint that answers 200 and says that it is ill is ejected too", async () => {
    await fetch(`http://127.0.0.1:${ports[0]}/ill`);
    await becomes("b", 10_000);
    // The isolate was idle for longer than what it knows may be old: it asks before it sends what may not fail.
    assert.match((await health()).reasons.find(({ code }) => code === "probe-failed").detail, /another body/);
    await pause(3100);
    assert.equal(await post(), "b");
    await fetch(`http://127.0.0.1:${ports[0]}/well`);
    await becomes("a", 10_000);
});

test("what is known outlives the object and the isolate", async () => {
    a.child.kill("SIGKILL");
    await becomes("b", 10_000);
    await gate.restart();
    assert.equal(await post(), "b", "the first request of a new isolate");
    await gate.evict("Health", "health");
    await becomes("b", 1000);
    [a] = [await startProcess("a", ports[0])];
    await becomes("a", 10_000);
    await eventually(async () => assert.equal(await post(), "a"), 5000);
});

test("with the object broken, requests go on as each isolate sees it", async () => {
    await gate.fault({ health: "fail" });
    await pause(1600);
    assert.equal(await post(), "a");
    const document = await health();
    assert.match(JSON.stringify(document), /the object that probes endpoints does not answer/);
    await gate.fault({});
    await becomes("a", 5000);
});
