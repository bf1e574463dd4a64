// The object that stands before the origin for one key. It stores nothing: what is lost with it costs one more request to
// the origin.
import { DurableObject } from "cloudflare:workers";
import * as wasm from "../../../build/wasm/tidegate.js";
import { step } from "./stateful.mjs";

/** What the answers that are handed on may take in one isolate. */
const HELD_BYTES_MAX = 32 << 20;

let held = 0;

/** Who leads, who waits, and what came of it. */
export class Shield extends DurableObject {
  state = "";
  /** The leader's answer: its record and its body. */
  kept = null;
  flight = null;
  timer = null;

  /** `said`: a word, perhaps a number of milliseconds, and on further lines a record. Answers with a verdict and an answer. */
  async say(said, body) {
    const end = said.indexOf("\n");
    let first = end < 0 ? said : said.slice(0, end);
    let [word, millis] = first.split(" ");
    const answer = word === "done" && end >= 0 ? [said.slice(end), body] : null;
    if (word === "done" && (answer === null || held + body.byteLength > HELD_BYTES_MAX)) {
      first = "done 0";
      millis = "0";
    }
    const [state, verdict] = step(() => wasm.shield_step(this.state, first, Date.now()));
    this.state = state;
    if (word === "ask" || word === "wait") {
      if (verdict === "wait" && word === "wait") return this.wait(Number(millis));
      return verdict === "have" ? this.told(verdict, this.kept) : [verdict];
    }
    if (word === "done") this.keep(answer, Number(millis));
    this.flight?.resolve(this.told(verdict, answer));
    this.flight = null;
    return [verdict];
  }

  told(verdict, answer) {
    return verdict === "have" ? (answer ? [verdict + answer[0], answer[1]] : ["go"]) : [verdict];
  }

  async wait(millis) {
    this.flight ??= Promise.withResolvers();
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve(["go"]), millis);
    });
    return Promise.race([this.flight.promise, late]).finally(() => clearTimeout(timer));
  }

  keep(answer, millis) {
    clearTimeout(this.timer);
    this.drop();
    if (millis === 0) return;
    this.kept = answer;
    held += answer[1].byteLength;
    this.timer = setTimeout(() => this.drop(), millis);
  }

  drop() {
    held -= this.kept?.[1].byteLength ?? 0;
    this.kept = null;
  }
}
