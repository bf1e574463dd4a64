// The object of one partition's quotas.
import * as wasm from "../../../build/wasm/tidegate.js";
import { Stateful, step } from "./stateful.mjs";

/** So long after its windows an object goes, so that one that is in use seldom sets its alarm. In milliseconds. */
const LINGERS_MS = 5 * 60_000;

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
    if (state !== undefined) await this.keep(state, expires > 0 ? expires + LINGERS_MS : 0);
    return verdicts;
  }

  /** Forgets what was counted. */
  async reset() {
    await this.load();
    this.state = Limiter.EMPTY;
    this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  /** Nothing lives on long after its windows. */
  async alarm() {
    await this.load();
    const [, expires] = step(() => wasm.limiter_expire(this.state, Date.now()));
    if (expires > 0) return this.ctx.storage.setAlarm(expires + LINGERS_MS);
    this.state = Limiter.EMPTY;
    await this.ctx.storage.deleteAll();
  }
}
