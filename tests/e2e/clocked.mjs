// The entry module as it is, on a clock that a test sets: `POST /__at` with the milliseconds since 1970 at which it is
// to stand. It answers how many requests still have work to do after their answer.
import { Call } from "../../src/platform/call.mjs";
import entry from "../../src/platform/entry.mjs";

export * from "../../src/platform/entry.mjs";

const running = Date.now;
let at = null;
let held = 0;
Date.now = () => at ?? running();

// Nobody waits for time to pass here: work after the answer (the counters' report, the second try of a delete) goes on at
// once.
Call.prototype.sleep = function (op) {
    this.settle(op, Promise.resolve([]));
};

/** What a request may ask of the platform, counted. */
function counting(ctx) {
    return {
        waitUntil(promise) {
            held += 1;
            const done = () => void (held -= 1);
            ctx.waitUntil(promise.then(done, done));
        },
    };
}

export default {
    ...entry,
    async fetch(request, env, ctx) {
        if (new URL(request.url).pathname !== "/__at") return entry.fetch(request, env, counting(ctx));
        const millis = await request.text();
        if (millis !== "") at = Number(millis);
        return new Response(String(held));
    },
};
