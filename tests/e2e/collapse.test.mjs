// Many clients at once for what one request to the origin answers.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { before, eventually, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, gate;

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: before(origin.url) });
});

const herd = (path, size, more = () => ({})) => Promise.all(Array.from({ length: size }, (_, nth) => gate.get(path, more(nth))));

/** What becomes of a herd: how many get the whole body, how many see it break off, and how many get another status. */
async function fates(path, size, bytes) {
    const fate = async () => {
        const answer = await gate.get(path).catch(() => null);
        if (answer === null) return "broken";
        return answer.status === 200 && answer.bytes.equals(bytes) ? "whole" : answer.status;
    };
    const all = await Promise.all(Array.from({ length: size }, fate));
    return Object.fromEntries(Object.entries(Object.groupBy(all, String)).map(([name, ones]) => [name, ones.length]));
}

test("variants too large for memory are collapsed each for itself", async () => {
    const body = (variant) => Buffer.alloc(300 << 10, variant);
    origin.on("/variants", async (request, response) => {
        await pause(300);
        const bytes = body(request.headers["x-variant"]);
        response.writeHead(200, { Vary: "X-Variant", "Cache-Control": "max-age=60", "Content-Length": bytes.length }).end(bytes);
    });
    const variant = (nth) => "abcd"[nth % 4];
    for (const wave of ["first", "second"]) {
        const answers = await herd("/variants", 80, (nth) => ({ headers: { "X-Variant": variant(nth) } }));
        answers.forEach((answer, nth) => assert.ok(answer.bytes.equals(body(variant(nth)))));
        assert.equal(origin.to("/variants").length, 4, wave);
    }
});

/** Sends half of a body and breaks off, the first `times` times. */
const breaking = (bytes, times, after = 200) => {
    let asked = 0;
    return async (request, response) => {
        const breaks = asked++ < times;
        await pause(after);
        response.writeHead(200, { "Cache-Control": "public, max-age=60", "Content-Length": bytes.length });
        if (!breaks) return response.end(bytes);
        response.write(bytes.subarray(0, bytes.length / 2), () => setTimeout(() => response.destroy(), 20));
    };
};

for (const kib of [100, 300, 2048]) {
    const bytes = Buffer.alloc(kib << 10, "x");

    test(`a body of ${kib} KiB that breaks off is tried once more and then believed`, async () => {
        origin.on(`/breaks/${kib}`, breaking(bytes, Infinity));
        assert.deepEqual(await fates(`/breaks/${kib}`, 100, bytes), { broken: 2, 502: 98 });
        assert.equal(origin.to(`/breaks/${kib}`).length, 2);
    });

    test(`a body of ${kib} KiB that breaks off once is asked for once more`, async () => {
        origin.on(`/once/${kib}`, breaking(bytes, 1));
        assert.deepEqual(await fates(`/once/${kib}`, 100, bytes), { broken: 1, whole: 99 });
        assert.equal(origin.to(`/once/${kib}`).length, 2);
    });
}

test("what broke off takes nothing away that another one has stored since", async () => {
    const bytes = Buffer.alloc(300 << 10, "x");
    origin.on("/late", breaking(bytes, 1, 0));
    // With Authorization it waits for nobody.
    const ask = () => gate.get("/late", { headers: { Authorization: "Basic eDp5" } });
    const hit = async () => assert.match((await ask()).headers["cache-status"], /^tidegate; hit/);
    await assert.rejects(ask());
    assert.ok((await ask()).bytes.equals(bytes));
    await eventually(hit);
    // What of a body that broke off is taken out again is so a little later.
    await pause(500);
    await hit();
});
