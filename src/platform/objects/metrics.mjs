// The object that holds the counters of the whole fleet.
import * as wasm from "../../../build/wasm/tidegate.js";
import { Stateful, step } from "./stateful.mjs";

/** How long counters may stay unwritten, in milliseconds. */
const WRITE_EVERY_MS = 5_000;
/** How often the open pages are told, in milliseconds. */
const PUSH_EVERY_MS = 1000;

/** The counters of the whole fleet, and the pages that watch them. */
export class Metrics extends Stateful {
  static EMPTY = "";
  pushed = 0;
  written = 0;
  restsAt = 0;
  timer = null;

  constructor(ctx, env) {
    super(ctx, env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }

  /** Adds an isolate's delta. Tells whether a page watches: then the next ones come sooner. */
  async ingest(delta) {
    await this.load();
    const now = Date.now();
    [this.state, this.restsAt] = step(() => wasm.metrics_ingest(this.state, delta, now));
    if (now - this.written >= WRITE_EVERY_MS) {
      this.written = now;
      this.ctx.storage.put("state", this.state);
      this.ctx.storage.setAlarm(now + WRITE_EVERY_MS);
    }
    this.push(now);
    return this.ctx.getWebSockets().length > 0 ? "watched" : "";
  }

  /** What the counters are now: "live", "health", "metrics", "metrics.json", "limits" or "hot". */
  async tell(what) {
    await this.load();
    return step(() => wasm.metrics_tell(this.state, what, Date.now()));
  }

  /** Tells every open page, once a second, until the graphs have come to rest. */
  push(now) {
    if (this.timer !== null || this.ctx.getWebSockets().length === 0) return;
    const wait = Math.max(0, this.pushed + PUSH_EVERY_MS - now);
    this.timer = setTimeout(async () => {
      this.timer = null;
      this.pushed = Date.now();
      const snapshot = await this.tell("live");
      for (const socket of this.ctx.getWebSockets()) socket.send(snapshot);
      if (this.pushed < this.restsAt) this.push(this.pushed);
    }, wait);
  }

  async fetch(request) {
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      return new Response("a WebSocket is expected here", { status: 426, headers: { upgrade: "websocket" } });
    }
    const { 0: page, 1: here } = new WebSocketPair();
    this.ctx.acceptWebSocket(here);
    here.send(await this.tell("live"));
    return new Response(null, { status: 101, webSocket: page });
  }

  async alarm() {
    await this.load();
    await this.ctx.storage.put("state", this.state);
  }

  webSocketMessage() {
    // Pages only listen; their pings are answered by the platform.
  }

  webSocketClose(socket, code) {
    // A close that nobody answers would stay half open. 1005 and 1006 may not be sent.
    socket.close(code >= 1000 && code !== 1005 && code !== 1006 ? code : 1000);
  }

  webSocketError(socket, error) {
    console.warn("tidegate: a live stream broke:", error?.message ?? error);
    socket.close(1011);
  }
}
