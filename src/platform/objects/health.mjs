// The object that finds out for the whole fleet which endpoints are well: it probes them, and hears what isolates see.
import * as wasm from "../../../build/wasm/tidegate.js";
import { Call } from "../call.mjs";
import { enter } from "../guard.mjs";
import { Stateful, step } from "./stateful.mjs";

/** How soon an alarm that failed is tried again, in milliseconds. */
const RETRY_AFTER_MS = 2000;

/** Sends the probes that are due; tells what came of them. */
async function probe(state, env, ctx) {
  const call = new Call(new Request("https://tidegate.invalid/"), env, ctx);
  enter((generation) => {
    call.born = generation;
    wasm.health_probe(state, call);
  });
  const dead = () => {
    throw new Error("the wasm died");
  };
  const answer = call.answer ?? (await call.wait(dead));
  return answer.text();
}

/** What is known of the endpoints (`origin::monitor`). */
export class Health extends Stateful {
  static EMPTY = "";

  /** What an isolate has seen comes in, what is known goes out. */
  async exchange(seen) {
    await this.load();
    const [state, known, next] = step(() => wasm.health_exchange(this.state, seen, Date.now()));
    await this.keep(state, next);
    return known;
  }

  async alarm() {
    await this.load();
    try {
      const probed = await probe(this.state, this.env, this.ctx);
      // Isolates may have said something in the meantime.
      const [state, next] = step(() => wasm.health_note(this.state, probed, Date.now()));
      await this.keep(state, next);
    } catch (error) {
      console.warn("tidegate: endpoints were not probed:", error?.message ?? error);
      await this.ctx.storage.setAlarm(Date.now() + RETRY_AFTER_MS);
    }
  }

  /** Stored is what isolates are told; what changes with every probe need not outlive the object. */
  async keep(state, next) {
    const { storage } = this.ctx;
    const version = state.split("\n", 1)[0];
    this.state = state;
    if (version !== this.version) {
      this.version = version;
      storage.put("state", state);
    }
    if (next === 0) return;
    const rings = await storage.getAlarm();
    if (rings === null || rings > next) await storage.setAlarm(next);
  }
}
