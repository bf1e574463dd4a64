// The object of one partition's quotas.
import * as wasm from "../../../build/wasm/tidegate.js";
import { Stateful, step } from "./stateful.mjs";

/** The state of the quota policies of one partition. */
export class Limiter extends Stateful {
  static EMPTY = new Uint8Array();

  /** Asks as text; answers with verdicts as text (`limit::batch`). */
  async take(asks, trap = null) {
    await this.load();
    const [state, verdicts, expires] = step(() => {
      if (trap === "limiter") wasm.trap();
      return wasm.limiter_take(this.state, asks, Date.now());
    });
    if (state !== undefined) await this.keep(state, expires);
    return verdicts;
  }

  /** Forgets what was counted. */
  async reset() {
    await this.load();
    this.state = Limiter.EMPTY;
    this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  /** Nothing lives on after its windows. */
  async alarm() {
    await this.load();
    const [state, expires] = step(() => wasm.limiter_expire(this.state, Date.now()));
    if (expires > 0) return this.keep(state, expires);
    this.state = Limiter.EMPTY;
    await this.ctx.storage.deleteAll();
  }
}
