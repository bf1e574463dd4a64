// What most Durable Objects are: a state, one alarm, and a pure step in the wasm. What they know is held on this side and
// loaded by an awaited step of every handler, so that an instance of the wasm that dies takes nothing with it.
import { DurableObject } from "cloudflare:workers";
import { enter, crash } from "../guard.mjs";

/** Runs a pure step; a trap is noted for the instance and fails this call alone. */
export function step(run) {
  try {
    return enter(run);
  } catch (error) {
    crash(error);
    throw error;
  }
}

export class Stateful extends DurableObject {
  /** What is stored; `undefined` until `load`. */
  state = undefined;

  async load() {
    if (this.state !== undefined) return;
    const stored = (await this.ctx.storage.get("state")) ?? this.constructor.EMPTY;
    this.state ??= stored;
  }

  /** One alarm an object: it is set where there is none, and looks again when it rings. */
  async keep(state, expires) {
    this.state = state;
    this.ctx.storage.put("state", state);
    if (expires > 0 && (await this.ctx.storage.getAlarm()) === null) this.ctx.storage.setAlarm(expires);
  }
}
