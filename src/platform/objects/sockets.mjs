// The object that counts the open WebSockets of one client on one route: one socket of its own for each of them. What is
// open is what the platform knows of, and who has not said "stay" for long is no longer counted: an isolate may go
// without a word.
import { DurableObject } from "cloudflare:workers";
import { FORGOTTEN_AFTER_MS, STAY } from "../relay.mjs";

export class Sockets extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    // The platform answers, and notes when: that wakes nobody.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(STAY, STAY));
  }

  /** Takes a place, where one of `most` is free. */
  fetch(request) {
    const most = Number(request.headers.get("x-most"));
    if (this.open() >= most) return new Response("full", { status: 429 });
    const { 0: theirs, 1: here } = new WebSocketPair();
    this.ctx.acceptWebSocket(here);
    here.serializeAttachment(Date.now());
    return new Response(null, { status: 101, webSocket: theirs });
  }

  /** How many there are; those that are forgotten are closed. */
  open() {
    const since = Date.now() - FORGOTTEN_AFTER_MS;
    const isHere = (socket) => (this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? socket.deserializeAttachment()) >= since;
    const [here, gone] = [[], []];
    for (const socket of this.ctx.getWebSockets()) (isHere(socket) ? here : gone).push(socket);
    for (const socket of gone) socket.close(1000);
    return here.length;
  }

  webSocketClose(socket) {
    socket.close(1000);
  }
}
