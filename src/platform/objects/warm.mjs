// The object that fetches URLs into KV before anybody asks for them, one after the other at a rate that spares the origin.
// What waits is in SQLite, so that it goes on after a restart.
import { DurableObject } from "cloudflare:workers";
import * as wasm from "../../../build/wasm/tidegate.js";
import { Call } from "../call.mjs";
import { crash, enter } from "../guard.mjs";

/** How many URLs may wait. */
const WAITING_MAX = 10_000;
/** How many are fetched at once: the platform opens no more than six connections for one event. */
const AT_ONCE = 4;
/** For how long one alarm goes on before it makes room for the next, in milliseconds. */
const ROUND_MS = 20_000;
/** How soon is seen, in milliseconds, that an object died in the middle of it. */
const LOST_MS = 5_000;
const OUTCOMES = ["stored", "fresh", "passed", "failed"];

const SCHEMA = `
CREATE TABLE IF NOT EXISTS waiting (n INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT, fields TEXT, UNIQUE (url, fields));
`;

const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

export class Warm extends DurableObject {
  static EMPTY = { perSecond: 1, document: "", started: 0, ended: 0, stored: 0, fresh: 0, passed: 0, failed: 0 };
  /** Those under way, by their numbers. */
  busy = new Map();
  works = false;

  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec(SCHEMA);
  }

  rows(text, ...values) {
    return [...this.sql.exec(text, ...values)];
  }

  async load() {
    this.state ??= (await this.ctx.storage.get("state")) ?? { ...Warm.EMPTY };
  }

  keep() {
    this.ctx.storage.put("state", this.state);
  }

  waiting() {
    return this.rows("SELECT count(*) AS n FROM waiting")[0].n;
  }

  /** Nothing: how far it is. Else a line with a rate and fields, one for each URL, and after an empty line the fleet's document. Answers with how far it is, or with nothing where too many wait. */
  async take(command) {
    await this.load();
    if (command === "") return this.progress();
    const end = command.indexOf("\n\n");
    const [first, ...urls] = command.slice(0, end).split("\n");
    const [perSecond, ...words] = first.split("\t");
    const fields = words.join("\t");
    const waiting = this.waiting();
    if (waiting + urls.length > WAITING_MAX) return "";
    const going = waiting > 0 ? this.state : { ...Warm.EMPTY, started: Date.now() };
    this.state = { ...going, perSecond: Number(perSecond), document: command.slice(end + 2), ended: 0 };
    this.keep();
    for (const url of urls) this.sql.exec("INSERT OR IGNORE INTO waiting (url, fields) VALUES (?, ?)", url, fields);
    this.ctx.waitUntil(this.work());
    return this.progress();
  }

  progress() {
    const { perSecond, started, ended } = this.state;
    const when = (millis) => (millis > 0 ? new Date(millis).toISOString() : null);
    const counts = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, this.state[outcome]]));
    const waiting = this.waiting() - this.busy.size;
    return JSON.stringify({ waiting, under_way: this.busy.size, ...counts, per_second: perSecond, started_at: when(started), ended_at: when(ended) });
  }

  async alarm() {
    await this.load();
    await this.work();
  }

  /** Fetches what waits, until there is nothing or it is time for the next alarm. */
  async work() {
    if (this.works) return;
    this.works = true;
    try {
      const until = Date.now() + ROUND_MS;
      while (Date.now() < until) {
        const [row] = this.rows("SELECT * FROM waiting ORDER BY n LIMIT ?", AT_ONCE).filter(({ n }) => !this.busy.has(n));
        if (!row && this.busy.size === 0) break;
        if (row && this.busy.size < AT_ONCE) {
          this.ctx.storage.setAlarm(Date.now() + LOST_MS);
          this.busy.set(row.n, this.one(row));
          await sleep(1000 / this.state.perSecond);
        } else {
          await Promise.race(this.busy.values());
        }
      }
      await Promise.all(this.busy.values());
    } finally {
      this.works = false;
    }
    if (this.waiting() > 0) return this.ctx.storage.setAlarm(Date.now());
    if (this.state.ended === 0) {
      this.state.ended = Date.now();
      this.keep();
    }
    await this.ctx.storage.deleteAlarm();
  }

  /** One URL, by the same code as a request's. */
  async one(row) {
    const outcome = await this.fetched(row);
    this.sql.exec("DELETE FROM waiting WHERE n = ?", row.n);
    this.busy.delete(row.n);
    this.state[OUTCOMES.includes(outcome) ? outcome : "failed"] += 1;
    this.keep();
  }

  async fetched({ url, fields }) {
    const call = new Call(new Request("https://tidegate.invalid/"), this.env, this.ctx);
    try {
      enter((generation) => {
        call.born = generation;
        wasm.warm(url, fields, this.state.document, call);
      });
      const answer = call.answer ?? (await call.wait(() => null));
      return answer?.headers.get("outcome");
    } catch (error) {
      crash(error);
      return null;
    }
  }
}
