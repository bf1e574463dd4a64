// The module that wrangler deploys. One synchronous call into the wasm a request; only what is not ready at once
// becomes a Promise. Nothing is decided here.
import { env as bindings } from "cloudflare:workers";
import * as wasm from "../../build/wasm/tidegate.js";
import { Call, pack } from "./call.mjs";
import { drain } from "./relay.mjs";
import { start, enter, crash, forward } from "./guard.mjs";

export { Deliveries, Fleet, Health, Limiter, Metrics, Queue, Shield, Sockets, Warm } from "./objects/index.mjs";

/** A schedule that no deployment can have. */
const DRAIN = "drain";

start(bindings);

export default {
  fetch(request, env, ctx) {
    const call = new Call(request, env, ctx);
    try {
      enter((generation) => {
        call.born = generation;
        if (call.trap === "1") wasm.trap();
        wasm.serve(pack(request), request, call);
      });
    } catch (error) {
      crash(error);
      return forward(call);
    }
    return call.answer ?? call.wait(forward);
  },

  /** Each minute: what an isolate knows of its origins stays known while no requests come. */
  scheduled(event, env, ctx) {
    // Whoever runs this locally says so before it ends.
    if (event.cron === DRAIN) return drain();
    const call = new Call(new Request("https://tidegate.invalid/"), env, ctx);
    try {
      enter((generation) => {
        call.born = generation;
        wasm.scheduled(call);
      });
    } catch (error) {
      crash(error);
    }
  },
};
