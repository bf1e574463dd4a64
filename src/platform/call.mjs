// What one request asks of the platform: the JavaScript half of `Ports`. Heads cross as one packed text
// ("status\nname\nvalue\n..."), bodies stay handles on this side.
import * as wasm from "../../build/wasm/tidegate.js";
import { BROKEN_OFF, content, cut, fixed, gather, hold, made, pump, timed } from "./bodies.mjs";
import { inFlight, resume } from "./guard.mjs";
import { leave, relay } from "./relay.mjs";
import { verifySignature } from "./signature.mjs";

/** How many API keys are listed at once. */
const KEYS_PAGE = 100;
/** How long a data centre may keep what it read of the fleet's key: the least that KV takes. */
const FLEET_CACHE_SECS = 30;

/** Method, URL and header fields of a request as one text, in the order that `platform::wire` reads. */
export function pack(request) {
  let text = `${request.method}\n${request.url}\n${request.body === null ? "" : "1"}\n`;
  request.headers.forEach((value, name) => {
    text += `${name}\n${value}\n`;
  });
  return text;
}

/** The address of `address:port` or `[address]:port`. */
function peer(socket = "") {
  const bracketed = /^\[(.*)\]/.exec(socket);
  return bracketed ? bracketed[1] : socket.replace(/:\d+$/, "");
}

/** Appends the fields of a packed head, which is split into its lines. */
function fill(headers, lines) {
  for (let i = 1; i + 1 < lines.length; i += 2) headers.append(lines[i], lines[i + 1]);
  return headers;
}

function packHead(response) {
  let text = `${response.status}\n`;
  let cookies = false;
  response.headers.forEach((value, name) => {
    if (name === "set-cookie") cookies = true;
    else text += `${name}\n${value}\n`;
  });
  // Above 16 fields `forEach` gives these in any order.
  if (cookies) for (const value of response.headers.getSetCookie()) text += `set-cookie\n${value}\n`;
  return text;
}

/** The Response of a packed head and a body's handle. */
function build(status, lines, handle) {
  // Only fetch's own Response may carry such a status.
  if (status > 599) return handle;
  if (handle instanceof Response && handle.webSocket) {
    return new Response(null, { status, headers: fill(new Headers(), lines), webSocket: handle.webSocket });
  }
  const bodiless = status === 204 || status === 205 || status === 304;
  const encode = handle?.encode !== undefined;
  const body = bodiless ? null : (content(encode ? handle.encode : handle) ?? null);
  // What is encoded already goes out as it is.
  const encodeBody = encode || !lines.includes("content-encoding") ? "automatic" : "manual";
  const response = new Response(body, { status, encodeBody });
  // A body of text brings a type of its own.
  if (typeof body === "string") response.headers.delete("content-type");
  fill(response.headers, lines);
  return response;
}

function within(promise, millis) {
  if (!millis) return promise;
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("timeout")), millis);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Where something lies in the Cache API. */
const inColo = (name) => `https://tidegate.invalid/${name}`;

/** How late a store may take what it said that it refused, in milliseconds. */
const STORES_LATE_MS = 250;

/** What was stored of a body that broke off is taken out again with `remove`: not every store refuses it, or does so at once. */
async function whole(poured, writes, remove) {
  const [body, ...done] = await Promise.allSettled([poured, ...writes]);
  if (remove && body.status === "rejected") {
    await new Promise((over) => setTimeout(over, STORES_LATE_MS));
    await remove();
  }
  const failed = [...done, body].find(({ status }) => status === "rejected");
  if (failed) throw failed.reason;
  return [];
}

export class Call {
  constructor(request, env, ctx) {
    this.request = request;
    this.env = env;
    this.ctx = ctx;
    /** The instance that serves it. */
    this.born = 0;
    /** The Response, once there is one. */
    this.answer = null;
    this.resolve = null;
    this.reject = null;
    this.holds = 0;
    this.release = null;
    /** How to end what is under way, by its operation. */
    this.awaited = null;
    /** When the end of the client's own body was sent. */
    this.uploaded = 0;
    /** The place that it has among its client's open connections. */
    this.place = null;
    /** Whether the request was sent to an origin. */
    this.sent = false;
    /** What a test wants to trap: "1" the request, "limiter" the limiter's step. */
    this.trap = env.TIDEGATE_TEST_TRAP ? request.headers.get("x-tidegate-test-trap") : null;
  }

  // ---- the answer ----

  /**
   * A Promise of the answer, for a request that was not ready at the first poll. `instead` answers where the wasm
   * dies: here, and not where that is noticed, since a request may do I/O only for itself.
   */
  wait(instead) {
    inFlight.add(this);
    const answered = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // What was begun comes to its end also where the client goes away: others may hang on it.
    this.ctx.waitUntil(answered.catch(() => {}));
    return answered.catch(() => instead(this));
  }

  /** The wasm is gone, with all that it held for this request. */
  abandon(error) {
    this.holds = 0;
    this.release?.();
    this.reject?.(error);
  }

  /** Called by the wasm: builds the Response. */
  respond(packed, handle) {
    const lines = packed.split("\n");
    // A place that no socket took is free again.
    leave(this.place, this.ctx);
    this.answer = build(Number(lines[0]), lines, handle);
    if (this.resolve) {
      if (this.holds === 0) inFlight.delete(this);
      this.resolve(this.answer);
    }
  }

  /** Called by the wasm: work goes on after the answer. */
  stay() {
    if (this.holds++ === 0) {
      this.ctx.waitUntil(
        new Promise((resolve) => {
          this.release = resolve;
        }),
      );
      inFlight.add(this);
    }
  }

  /** Called by the wasm: that work has ended. */
  unstay() {
    if (--this.holds > 0) return;
    this.release?.();
    if (this.answer !== null) inFlight.delete(this);
  }

  /** Who is at the other end. `cf` is parsed at its first use, which costs as much as a small hit: so only when asked. */
  client() {
    const cf = this.request.cf ?? {};
    // Locally there is no edge that could vouch for CF-Connecting-IP: the socket tells.
    const address = this.env.TIDEGATE_LOCAL
      ? peer(cf.clientIp)
      : (this.request.headers.get("cf-connecting-ip") ?? "");
    return `${address}\n${cf.country ?? ""}\n${cf.asn ?? ""}\n${cf.colo ?? ""}\n${cf.httpProtocol ?? ""}\n${cf.continent ?? ""}`;
  }

  // ---- operations: each ends in exactly one `wasm.settle` ----

  settle(op, promise) {
    promise.then(
      ([text, handle]) => this.settled(op, text, handle),
      (error) => this.failed(op, error),
    );
  }

  settled(op, text, handle) {
    resume(this.born, () => wasm.settle(op, text ?? undefined, handle));
  }

  failed(op, error) {
    resume(this.born, () => wasm.fail(op, String(error?.message ?? error)));
  }

  sleep(op, millis) {
    this.settle(op, new Promise((resolve) => setTimeout(() => resolve([]), millis)));
  }

  /**
   * `packed`: "METHOD URL" and the fields. Settles with the packed head and the Response as the body's handle, fails where
   * the origin has been silent for so long. What comes too late is let go. `awaited`: it ends where it is revoked, or where
   * the client goes away.
   */
  fetch(op, packed, handle, millis, awaited) {
    const lines = packed.split("\n");
    const [method, url] = lines[0].split(" ");
    const headers = {};
    for (let i = 1; i + 1 < lines.length; i += 2) headers[lines[i]] = lines[i + 1];
    // The platform's fetch refuses content with these; what it would have meant is not defined (RFC 9110, section 9.3.1).
    const bare = method === "GET" || method === "HEAD";
    if (bare) delete headers["content-length"];
    let body = bare ? null : (content(handle) ?? null);
    this.sent = true;
    const uploads = body instanceof ReadableStream;
    const controller = awaited || uploads ? new AbortController() : null;
    let over = false;
    let timer;
    const end = () => {
      over = true;
      clearTimeout(timer);
      this.awaited?.delete(op);
    };
    const giveUp = (why) => {
      end();
      controller?.abort();
      if (why) this.failed(op, new Error(why));
    };
    const clock = (runs) => {
      clearTimeout(timer);
      if (runs && !over) timer = setTimeout(giveUp, millis, "timeout");
    };
    if (awaited) this.whileThere(op, giveUp);
    if (uploads) {
      const sent = () => (this.uploaded = Date.now());
      body = timed(body, headers["content-length"], clock, sent, () => over || giveUp("gone"));
    } else clock(true);
    fetch(url, { method, headers, body, redirect: "manual", encodeResponseBody: "manual", signal: controller?.signal }).then(
      (response) => {
        if (over) return this.discard(response);
        end();
        this.settled(op, packHead(response), response);
      },
      (error) => {
        if (over) return;
        end();
        this.failed(op, error);
      },
    );
  }

  /** Nobody waits for this operation any more. */
  revoke(op) {
    this.awaited?.get(op)?.();
  }

  /** Has an operation end where the client goes away. */
  whileThere(op, giveUp) {
    const { signal } = this.request;
    const leave = () => {
      for (const one of [...this.awaited.values()]) one("gone");
    };
    if (this.awaited === null) {
      this.awaited = new Map();
      signal.addEventListener("abort", leave, { once: true });
    }
    this.awaited.set(op, giveUp);
    // The wasm is not to be entered out of itself.
    if (signal.aborted) queueMicrotask(leave);
  }

  /**
   * The same body, which breaks off where nothing comes for so long (0: for ever), and raises the signal, where there is
   * one, when it has ended. `length` < 0: unknown. `lone`: it ends where the client goes away.
   */
  watch(handle, millis, length, signal, lone) {
    const body = content(handle);
    if (!(body instanceof ReadableStream)) {
      signal?.resolve([]);
      return body ?? undefined;
    }
    const { readable, writable } = length < 0 ? new IdentityTransformStream() : new FixedLengthStream(length);
    const pump = async () => {
      const reader = body.getReader();
      const writer = writable.getWriter();
      // A client that is gone is told of by this alone: the request lives on for the sake of the signal.
      const gone = () => {
        reader.cancel().catch(() => {});
        // To close the other end may take until somebody reads it.
        signal?.resolve([]);
      };
      if (lone) this.request.signal.addEventListener("abort", gone);
      try {
        for (;;) {
          // Only the origin's silence counts, not that of a client that does not read.
          const { done, value } = await within(reader.read(), millis);
          if (done) break;
          await writer.write(value);
        }
        await writer.close();
      } catch (error) {
        reader.cancel(error).catch(() => {});
        await writer.abort(error);
      }
    };
    this.ctx.waitUntil(pump().catch(() => {}).finally(() => signal?.resolve([])));
    made.add(readable);
    return readable;
  }

  /** Something to raise once and to wait for. It is a Promise of the request that makes it. */
  signal() {
    const signal = Promise.withResolvers();
    this.ctx.waitUntil(signal.promise);
    return signal;
  }

  raise(signal) {
    signal.resolve([]);
  }

  raised(op, signal, millis) {
    this.settle(op, within(signal.promise, millis));
  }

  /** The bytes of a body, at most `cap`; a longer one fails. One that breaks off settles with a text beside its bytes. */
  gather(op, handle, cap) {
    this.settle(op, gather(content(handle), cap));
  }

  /** The bytes of a body of at most `cap`; of a longer one the same body, with a text beside it. */
  hold(op, handle, cap) {
    this.settle(op, hold(content(handle), cap));
  }

  /** Two handles for one body. */
  tee(handle) {
    const body = content(handle);
    if (!(body instanceof ReadableStream)) return [body, body];
    const both = body.tee();
    if (made.has(body)) both.forEach((one) => made.add(one));
    return both;
  }

  /** A body of so many bytes that is poured together, and where to. */
  pipe(bytes) {
    const { readable, writable } = new FixedLengthStream(bytes);
    return [readable, writable];
  }

  /** Where either end breaks off, the other does too. */
  pour(op, sink, handle) {
    const body = content(handle);
    const native = body instanceof ReadableStream && !made.has(body);
    const poured = native ? body.pipeTo(sink, { preventClose: true }) : pump(body, sink.getWriter());
    this.settle(op, poured.then(() => []));
  }

  end(sink, whole) {
    (whole ? sink.close() : sink.abort(new Error(BROKEN_OFF))).catch(() => {});
  }

  /** The same body, which breaks off unless it is this long. */
  exact(handle, length) {
    return fixed(content(handle), length, this.ctx)[0];
  }

  /** The bytes from `start` up to `end`. */
  part(handle, start, end) {
    const { readable, writable } = new FixedLengthStream(end - start);
    made.add(readable);
    this.ctx.waitUntil(cut(content(handle).getReader(), writable.getWriter(), start, end));
    return readable;
  }

  /** Marks a body, where there is one: the platform is to encode it. */
  encode(handle) {
    const body = content(handle) ?? null;
    return body === null ? undefined : { encode: body };
  }

  discard(handle) {
    const body = content(handle?.encode ?? handle);
    if (body instanceof ReadableStream && !body.locked) body.cancel().catch(() => {});
  }

  text(bytes) {
    return new TextDecoder().decode(bytes);
  }

  /** What has a seal that is not there was not written to its end. */
  colo_load(op, key, millis) {
    const load = async () => {
      const found = await caches.default.match(inColo(key));
      if (!found) return [];
      const seal = found.headers.get("x-tidegate-seal");
      if (seal !== null && !(await caches.default.match(inColo(`${key}/${seal}`)))) {
        this.discard(found);
        return [];
      }
      return [decodeURIComponent(found.headers.get("x-tidegate-head")), found];
    };
    this.settle(op, within(load(), millis));
  }

  /**
   * A stream gets a seal, once all of it is there; without one it can stay: to remove it could remove what another one has
   * stored since. `length` < 0: unknown.
   */
  colo_save(op, key, head, handle, length, ttl) {
    const [body, poured] = fixed(content(handle), length, this.ctx);
    const headers = {
      // Field values hold no control characters; a stored head has one between its parts.
      "x-tidegate-head": encodeURIComponent(head),
      "cache-control": `public, max-age=${ttl}`,
      "content-type": "application/octet-stream",
    };
    const seal = poured && crypto.randomUUID();
    if (seal) headers["x-tidegate-seal"] = seal;
    const put = caches.default.put(inColo(key), new Response(body, { headers }));
    const sealed = async () => {
      await whole(poured, [put]);
      const { "cache-control": cacheControl } = headers;
      if (seal) await caches.default.put(inColo(`${key}/${seal}`), new Response("", { headers: { "cache-control": cacheControl } }));
      return [];
    };
    this.settle(op, sealed());
  }

  colo_remove(op, key) {
    this.settle(op, caches.default.delete(inColo(key)).then(() => []));
  }

  /** A head that does not fit into the metadata lies under a key of its own. */
  kv_load(op, key, millis) {
    const load = async () => {
      const { value, metadata } = await this.env.KV.getWithMetadata(`cache:${key}`, { type: "stream" });
      if (value === null) return [];
      return [metadata ?? (await this.env.KV.get(`head:${key}`, { type: "text" })) ?? "", value];
    };
    this.settle(op, within(load(), millis));
  }

  /** `apart`: the head does not fit into the metadata. */
  kv_save(op, key, head, apart, handle, length, ttl) {
    const expiry = { expirationTtl: Math.max(60, ttl) };
    const [value, poured] = fixed(content(handle) ?? "", length, this.ctx);
    const writes = apart
      ? [this.env.KV.put(`head:${key}`, head, expiry), this.env.KV.put(`cache:${key}`, value, expiry)]
      : [this.env.KV.put(`cache:${key}`, value, { metadata: head, ...expiry })];
    this.settle(op, whole(poured, writes, () => this.env.KV.delete(`cache:${key}`)));
  }

  kv_remove(op, key) {
    this.settle(op, this.env.KV.delete(`cache:${key}`).then(() => []));
  }

  /** The record of an API key, by the key's SHA-256. */
  api_key(op, hash, millis) {
    this.settle(op, within(this.env.KV.get(`key:${hash}`, { type: "text" }), millis).then((text) => [text]));
  }

  /** 32 random bytes as base64url. */
  secret() {
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  }

  /** A line with the next cursor, then one for each key: its hash and its record. A record that has no copy in the metadata is read. */
  keys(op, prefix, cursor, millis) {
    const page = async () => {
      const found = await this.env.KV.list({ prefix: `key:${prefix}`, cursor: cursor || undefined, limit: KEYS_PAGE });
      const line = async ({ name, metadata }) => {
        const record = typeof metadata === "string" ? metadata : await this.env.KV.get(name, { type: "text" });
        return `${name.slice(4)} ${(record ?? "").replace(/\s*\n\s*/g, " ")}`;
      };
      return [[found.cursor ?? "", ...(await Promise.all(found.keys.map(line)))].join("\n")];
    };
    this.settle(op, within(page(), millis));
  }

  /** `listed`: the record is short enough to lie in the metadata too, which a list shows. */
  save_key(op, hash, record, listed) {
    const name = `key:${hash}`;
    const saved =
      record === undefined
        ? this.env.KV.delete(name)
        : this.env.KV.put(name, record, listed ? { metadata: record } : {});
    this.settle(op, saved.then(() => []));
  }

  /** One call to the limiter object `name`. */
  limit(op, name, asks, millis) {
    this.settle(op, within(this.env.LIMITER.getByName(name).take(asks, this.trap), millis).then((verdicts) => [verdicts]));
  }

  reset_limit(op, name, millis) {
    this.settle(op, within(this.env.LIMITER.getByName(name).reset(), millis).then(() => []));
  }

  /** What the fleet shares, as KV has it. */
  fleet(op, millis) {
    const read = this.env.KV.get("fleet", { type: "text", cacheTtl: FLEET_CACHE_SECS });
    this.settle(op, within(read, millis).then((text) => [text]));
  }

  /** One command to the fleet's object, or to the one that warms. */
  command(op, command, millis) {
    const warm = "warm\n";
    const taken = command.startsWith(warm)
      ? this.env.WARM.getByName("warm").take(command.slice(warm.length))
      : this.env.FLEET.getByName("fleet").take(command);
    this.settle(op, within(taken, millis).then((answer) => [answer]));
  }

  audit(op, millis) {
    this.settle(op, within(this.env.FLEET.getByName("fleet").trail(), millis).then((trail) => [trail]));
  }

  /** What was seen of endpoints goes to the object that probes them, and what is known comes back. */
  health(op, seen, millis) {
    this.settle(op, within(this.env.HEALTH.getByName("health").exchange(seen), millis).then((known) => [known]));
  }

  /** Takes a place among a client's open connections: a socket to the object that counts them. */
  connect(op, place, most, millis) {
    const headers = { upgrade: "websocket", "x-most": String(most) };
    const asked = this.env.SOCKETS.getByName(place).fetch("https://tidegate.invalid/", { headers });
    const taken = asked.then(({ webSocket }) => {
      webSocket?.accept();
      // A place that comes too late is not needed any more.
      if (this.answer) leave(webSocket, this.ctx);
      else this.place = webSocket;
      return webSocket ? ["1"] : [];
    });
    this.settle(op, within(taken, millis));
  }

  /** The client's end of a socket whose messages pass through here. */
  relay(handle, most, millis) {
    if (!handle?.webSocket) return handle;
    const webSocket = relay(handle.webSocket, this.place, most, millis);
    this.place = null;
    return new Response(null, { status: 101, webSocket });
  }

  /** Asks the object that keeps a pool's changes; with a body it may keep this request. */
  deliveries(op, pool, ask, body, millis) {
    const object = this.env.DELIVERIES.getByName(pool);
    const asked = body ? object.ask(ask, body, pack(this.request), this.client()) : object.ask(ask);
    this.settle(op, within(asked, millis).then((text) => [text]));
  }

  /** Says something to the shield of a key: a text and perhaps bytes, and so is its answer. */
  shield(op, key, said, body, millis) {
    this.settle(op, within(this.env.SHIELD.getByName(key).say(said, body), millis));
  }

  /** Says something to a queue's object, and waits for an answer that is not "wait" for so long. */
  queue(op, name, call, patience, millis, awaited) {
    const told = within(this.env.QUEUE.getByName(name).turn(call, patience), patience + millis);
    if (!awaited) return this.settle(op, told.then((answer) => [answer]));
    const gone = Promise.withResolvers();
    this.whileThere(op, (why) => gone.reject(new Error(why)));
    this.settle(op, Promise.race([told, gone.promise]).then((answer) => [answer]).finally(() => this.awaited.delete(op)));
  }

  /** Hands counters over. */
  report(op, delta) {
    this.settle(op, this.env.METRICS.getByName("metrics").ingest(delta).then((told) => [told]));
  }

  /** What the metrics object says: `what` is health, metrics, metrics.json, limits or hot. */
  observe(op, what, millis) {
    this.settle(op, within(this.env.METRICS.getByName("metrics").tell(what), millis).then((text) => [text]));
  }

  /** A page that wants the live stream. */
  live(op) {
    const upgraded = this.env.METRICS.getByName("metrics").fetch(this.request);
    this.settle(op, upgraded.then((response) => [packHead(response), response]));
  }

  asset(op, path) {
    const served = this.env.ASSETS.fetch(`https://assets.invalid/${path}`, { method: "GET" });
    this.settle(op, served.then((response) => [packHead(response), response]));
  }

  /** Settles with "true" or "false". `key` is a JWK, or for HMAC the name of the secret. */
  verify(op, algorithm, key, signed, signature) {
    const material = algorithm === "HS256" ? this.env[key] : key;
    // Both are views into wasm memory, which may move.
    const verified = verifySignature(algorithm, material, signed.slice(), signature.slice());
    this.settle(op, verified.then((good) => [String(good)]));
  }
}
