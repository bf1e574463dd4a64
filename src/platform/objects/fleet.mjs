// The object of what the whole fleet shares. It is authoritative; KV carries what it knows to every isolate.
import * as wasm from "../../../build/wasm/tidegate.js";
import { Stateful, step } from "./stateful.mjs";

/** KV takes one write a second under one key, in milliseconds. */
const WRITE_EVERY_MS = 1000;
/** How soon a write that failed is tried again, in milliseconds. */
const RETRY_AFTER_MS = 2000;
/** How many entries of the audit trail are shown. */
const SHOWN_MAX = 100;

/** An entry's key: they sort by their numbers. */
const entryKey = (number) => `audit:${String(number).padStart(12, "0")}`;

/** What the fleet shares (`fleet::Document`), who had it changed, and which batches were applied. */
export class Fleet extends Stateful {
  static EMPTY = { document: "", rest: "", entries: 0 };

  /** One command as text (`fleet::object`); the answer as text. */
  async take(command) {
    await this.load();
    const { document, rest, entries } = this.state;
    const [answer, ...changed] = step(() => wasm.fleet_take(document, rest, command, Date.now()));
    if (changed[0] !== undefined) this.keep(changed, entries);
    return answer;
  }

  /** All in one transaction: what is confirmed is stored. */
  keep([document, rest, entry], entries) {
    const { storage } = this.ctx;
    if (entry !== undefined) {
      storage.put(entryKey(entries), entry);
      storage.delete(entryKey(entries - wasm.fleet_audit_max()));
    }
    this.state = { document, rest, entries: entry === undefined ? entries : entries + 1 };
    storage.put("state", this.state);
    if (!this.rings) {
      this.rings = true;
      storage.setAlarm(Math.max(Date.now(), (this.written ?? 0) + WRITE_EVERY_MS));
    }
  }

  /** What was done, the latest first. */
  async trail() {
    const entries = await this.ctx.storage.list({ prefix: "audit:", reverse: true, limit: SHOWN_MAX });
    return `[${[...entries.values()].join(",")}]`;
  }

  /** Writes the document to KV, until that has succeeded. */
  async alarm() {
    await this.load();
    this.rings = false;
    this.written = Date.now();
    const { document } = this.state;
    try {
      await this.env.KV.put("fleet", document);
    } catch (error) {
      console.warn("tidegate: the fleet's document was not written:", error?.message ?? error);
      this.ctx.storage.setAlarm(Date.now() + RETRY_AFTER_MS);
    }
  }
}
