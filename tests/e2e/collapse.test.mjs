// Many clients at once for what one request to the origin answers.
import assert from "node:assert/strict";
import { before as beforeAll, test } from "node:test";
import { before, pause, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

let origin, gate;

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: before(origin.url) });
});

const herd = (path, size, more = () => ({})) => Promise.all(Array.from({ length: size }, (_, nth) => gate.get(path, more(nth))));

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
