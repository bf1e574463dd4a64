// The object of one queue: who has a place at an origin that takes few requests at once, and who waits.
import * as wasm from "../../../build/wasm/tidegate.js";
import { Stateful, step } from "./stateful.mjs";

/** A queue. Those that wait are held here, the rest is `limit::queue`. */
export class Queue extends Stateful {
  static EMPTY = new Uint8Array();
  /** How those are told that wait for their turn, by ticket. */
  waiting = new Map();
  timer = null;

  /** A call as text; answers as text. Where the answer is "wait", it is held back for so many milliseconds. */
  async turn(call, patience) {
    await this.load();
    const { answer } = this.go(call);
    if (patience <= 0 || !answer.startsWith("0 ")) return answer;
    const ticket = call.split(" ")[1];
    return new Promise((resolve) => {
      const told = (text) => {
        clearTimeout(late);
        this.waiting.delete(ticket);
        resolve(text);
      };
      const late = setTimeout(() => told(answer), patience);
      this.waiting.set(ticket, told);
    });
  }

  go(call) {
    const now = Date.now();
    const [state, answer, told, wakes, expires] = step(() => wasm.queue_turn(this.state, call, now));
    this.keep(state, expires);
    for (const line of told.split("\n")) this.waiting.get(line.slice(0, 32))?.(line.slice(33));
    clearTimeout(this.timer);
    if (wakes > 0) this.timer = setTimeout(() => this.look(), Math.max(1, wakes - now));
    return { answer, expires };
  }

  /** Time has passed: a place may be free. */
  look() {
    try {
      this.go("");
    } catch (error) {
      // Those who wait ask again.
      console.error("tidegate: a queue's step failed:", error?.message ?? error);
    }
  }

  /** Nothing lives on after its last place, wait and window. */
  async alarm() {
    await this.load();
    const { expires } = this.go("");
    if (expires > Date.now()) return;
    this.state = Queue.EMPTY;
    await this.ctx.storage.deleteAll();
  }
}
