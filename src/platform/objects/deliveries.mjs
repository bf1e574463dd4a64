// The object that keeps a pool's changes until their origin has them (`write_behind`). Each is one row, from before its
// client is told that it was accepted until after the origin has answered; the alarm delivers what is due.
import { DurableObject } from "cloudflare:workers";
import * as wasm from "../../../build/wasm/tidegate.js";
import { Call, pack } from "../call.mjs";
import { crash, enter } from "../guard.mjs";

/** How many deliveries are under way at once: the platform opens no more than six connections for one event. */
const AT_ONCE = 4;
/** For how long one alarm goes on before it makes room for the next, in milliseconds. */
const ROUND_MS = 20_000;
/** How long what the wasm has died of is left alone, in milliseconds; and after how many attempts for good. */
const TRAPPED_MS = 30_000;
const TRAPPED_MAX = 20;
/** How soon is seen, in milliseconds, that an object died with deliveries under way; they are begun anew. */
const LOST_MS = 10_000;
/** How many rows a list shows. */
const LISTED_MAX = 100;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS delivery (
    id TEXT PRIMARY KEY, scope TEXT, digest TEXT, state TEXT, priority INTEGER, due INTEGER, attempts INTEGER,
    accepted INTEGER, keep INTEGER, request TEXT, client TEXT, body BLOB, status INTEGER, why TEXT
);
CREATE INDEX IF NOT EXISTS by_turn ON delivery (state, priority DESC, due);
CREATE INDEX IF NOT EXISTS by_due ON delivery (due);
CREATE INDEX IF NOT EXISTS by_scope ON delivery (scope);
`;

const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** The changes of one pool. What is known is in SQLite alone. */
export class Deliveries extends DurableObject {
  /** Those under way. */
  busy = new Set();

  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec(SCHEMA);
  }

  rows(text, ...values) {
    return [...this.sql.exec(text, ...values)];
  }

  /** `ask`: a command and its arguments, a line each. Answers with a text. */
  async ask(ask, body, request, client) {
    const [what, ...args] = ask.split("\n");
    switch (what) {
      case "accept":
        return this.accept(args, body ?? new Uint8Array(), request, client);
      case "tell":
        return this.tell(args[0]);
      case "list":
        return this.list();
      case "replay":
        return this.replay(args[0]);
      default:
        return this.rest();
    }
  }

  /**
   * Takes a change in: "accepted ID". One with a key that was seen before is the same change, and its status and id are
   * told, or where it is another one after all, "conflict".
   */
  async accept([id, scope, priority, pendingMax, keep], body, request, client) {
    const [head] = request.split("\n", 2);
    const digest = hex(await crypto.subtle.digest("SHA-256", body));
    const [known] = scope === "" ? [] : this.rows("SELECT id, digest, state, attempts FROM delivery WHERE scope = ?", scope);
    if (known) return known.digest === `${head} ${digest}` ? `${status(known)} ${known.id}` : "conflict";
    const [{ waiting }] = this.rows("SELECT count(*) AS waiting FROM delivery WHERE state != 'delivered'");
    if (waiting >= Number(pendingMax)) return "full";
    const now = Date.now();
    this.sql.exec(
      "INSERT INTO delivery VALUES (?, ?, ?, 'pending', ?, ?, 0, ?, ?, ?, ?, ?, NULL, NULL)",
      id, scope, `${head} ${digest}`, Number(priority), now, now, Number(keep), request, client, body,
    );
    // Row and alarm are written as one, before the answer leaves; where this goes on, nobody has to wait for the alarm.
    this.rest();
    this.ctx.waitUntil(this.work());
    return `accepted ${id}`;
  }

  /** One delivery as JSON, or nothing. */
  tell(id) {
    const [row] = this.rows("SELECT * FROM delivery WHERE id = ?", id);
    return row ? JSON.stringify(shown(row)) : "";
  }

  /** How many there are in each state, and the dead letters, the oldest first. */
  list() {
    const counts = { pending: 0, delivered: 0, dead: 0 };
    for (const { state, n } of this.rows("SELECT state, count(*) AS n FROM delivery GROUP BY state")) counts[state] = n;
    const dead = this.rows("SELECT * FROM delivery WHERE state = 'dead' ORDER BY accepted LIMIT ?", LISTED_MAX);
    return JSON.stringify({ ...counts, dead_letters: dead.map((row) => ({ ...shown(row), request: about(row.request) })) });
  }

  /** Has a dead letter delivered after all, or without an id all of them; tells how many that are. */
  replay(id) {
    const again = "UPDATE delivery SET state = 'pending', attempts = 0, due = ? WHERE state = 'dead' AND ? IN ('', id) RETURNING id";
    const replayed = this.rows(again, Date.now(), id ?? "");
    this.rest();
    this.ctx.waitUntil(this.work());
    return String(replayed.length);
  }

  async alarm() {
    await this.work();
  }

  /** Delivers what is due, a few at once, also what is accepted meanwhile. */
  async work() {
    const until = Date.now() + ROUND_MS;
    const one = async () => {
      for (let row = this.next(); row && Date.now() < until; row = this.next()) {
        this.busy.add(row.id);
        await this.deliver(row).finally(() => this.busy.delete(row.id));
      }
    };
    const started = [];
    while (this.busy.size < AT_ONCE && this.next()) started.push(one());
    await Promise.all(started);
    this.rest();
  }

  /** What is due first and not under way. */
  next() {
    const due = "SELECT * FROM delivery WHERE state = 'pending' AND due <= ? ORDER BY priority DESC, due LIMIT ?";
    return this.rows(due, Date.now(), AT_ONCE + 1).find(({ id }) => !this.busy.has(id));
  }

  /**
   * Sets the alarm for what comes next, and forgets what was kept long enough. Whoever comes back from a delivery takes the
   * next: while all places are taken, the alarm is only for the case that nobody comes back, since the object died.
   */
  rest() {
    const now = Date.now();
    this.sql.exec("DELETE FROM delivery WHERE state = 'delivered' AND due <= ?", now);
    const first = "SELECT id, due FROM delivery WHERE state != 'dead' ORDER BY due LIMIT ?";
    const next = this.busy.size < AT_ONCE && this.rows(first, AT_ONCE).find(({ id }) => !this.busy.has(id));
    const at = Math.min(next ? Math.max(next.due, now) : Infinity, this.busy.size > 0 ? now + LOST_MS : Infinity);
    if (at < Infinity) this.ctx.storage.setAlarm(at);
    return "";
  }

  /** One attempt, by the same code as a request's; what becomes of the row, the wasm says. */
  async deliver(row) {
    const outcome = (await this.attempt(row)) ?? {
      next: row.attempts < TRAPPED_MAX ? "again" : "dead",
      at: Date.now() + TRAPPED_MS,
      why: "the gateway failed",
    };
    const { next, at, status, why } = outcome;
    const attempts = row.attempts + 1;
    if (next === "delivered") {
      // Neither the body nor a credential is kept any longer; the row, for whoever asks and for its key.
      this.sql.exec(
        "UPDATE delivery SET state = 'delivered', attempts = ?, due = ?, status = ?, why = NULL, request = NULL, client = NULL, body = NULL WHERE id = ?",
        attempts, Date.now() + row.keep, Number(status), row.id,
      );
    } else {
      const state = next === "again" ? "pending" : "dead";
      this.sql.exec(
        "UPDATE delivery SET state = ?, attempts = ?, due = ?, status = ?, why = ? WHERE id = ?",
        state, attempts, Number(at), status ? Number(status) : null, why ?? null, row.id,
      );
    }
  }

  async attempt(row) {
    const call = new Call(new Request("https://tidegate.invalid/"), this.env, this.ctx);
    call.client = () => row.client;
    try {
      enter((generation) => {
        call.born = generation;
        wasm.deliver(row.request, new Uint8Array(row.body), call, row.id, row.attempts + 1);
      });
      const answer = call.answer ?? (await call.wait(() => null));
      return answer && Object.fromEntries(answer.headers);
    } catch (error) {
      crash(error);
      return null;
    }
  }
}

/** What is told of the state of a delivery. */
function status({ state, attempts }) {
  if (state !== "pending") return state;
  return attempts > 0 ? "retrying" : "accepted";
}

/** What anybody who has its address may know of a delivery. */
function shown({ id, state, attempts, accepted, due, status: origin, why }) {
  const when = (millis) => new Date(millis).toISOString();
  return {
    id,
    status: status({ state, attempts }),
    accepted_at: when(accepted),
    attempts,
    ...(state === "pending" && attempts > 0 && { next_attempt_at: when(due) }),
    ...(origin !== null && { origin_status: origin }),
    ...(why !== null && { reason: why }),
  };
}

/** Method and URL of a packed request. */
const about = (request) => request.split("\n", 2).join(" ");
