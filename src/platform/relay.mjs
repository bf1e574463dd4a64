// WebSockets of routes that limit them: each message passes through here. Those of other routes never do.

/** What keeps a place among a client's open connections, how often that is said, and after what time it is given up. */
export const STAY = "stay";
const STAY_EVERY_MS = 60_000;
export const FORGOTTEN_AFTER_MS = 200_000;
/** How long those that are told to close may take, in steps of so much. */
const DRAIN_MS = 400;
const DRAIN_STEP_MS = 20;

/** How to close each that is open. A socket belongs to its request, so each of these resolves a Promise of that request. */
const open = new Set();

/** Says "service restart" (1012) to both ends of all that are open; resolves when they are closed, or that took too long. */
export async function drain() {
  for (const go of open) go();
  for (let waited = 0; open.size > 0 && waited < DRAIN_MS; waited += DRAIN_STEP_MS) await pause();
  await pause();
}

const pause = () => new Promise((done) => setTimeout(done, DRAIN_STEP_MS));

/** Gives a place back. The platform tells the other side only while the request lasts, so that has to. */
export function leave(place, ctx) {
  if (!place) return;
  ctx.waitUntil(new Promise((done) => place.addEventListener("close", done)));
  place.close(1000);
}

/** What may wait for one end, in bytes. Nobody can hold the other end back: who takes too little is closed. */
const WAITING_BYTES_MAX = 16 << 20;

/** Closes as the other end was closed. 1005 says that there was no code, 1006 and 1015 that it broke: none of these is sent. */
function close(socket, code, reason) {
  if (code === 1005) socket.close();
  else if (code === 1006 || code === 1015) socket.close(1011, "the connection broke");
  else socket.close(code, reason);
}

/**
 * The client's half of a pair whose other half is tied to the origin's socket. `most` messages in any `millis`
 * milliseconds may come from the client, as even flow with so much in hand (GCRA); 0 is no limit. `place` is open as long
 * as this is.
 */
export function relay(origin, place, most, millis) {
  const { 0: theirs, 1: client } = new WebSocketPair();
  let flow = 0;
  const going = Promise.withResolvers();
  open.add(going.resolve);
  const stay = place && setInterval(() => place.send(STAY), STAY_EVERY_MS);
  const finish = (ends) => {
    for (const { socket, code, reason } of ends) {
      try {
        close(socket, code, reason);
      } catch {
        // It is closed already.
      }
    }
    if (!open.delete(going.resolve)) return;
    clearInterval(stay);
    place?.close(1000);
  };
  const end = (code, reason) => finish([client, origin].map((socket) => ({ socket, code, reason })));
  const hand = (to, data) => {
    if (!open.has(going.resolve)) return;
    if (to.bufferedAmount > WAITING_BYTES_MAX) return end(1013, "what comes is not taken");
    to.send(data);
  };
  const tie = (from, to) => {
    from.binaryType = "arraybuffer";
    from.addEventListener("close", ({ code, reason }) => finish([{ socket: to, code, reason }, { socket: from, code, reason }]));
    from.addEventListener("error", () => end(1011, "the connection broke"));
  };
  client.addEventListener("message", ({ data }) => {
    if (most > 0 && open.has(going.resolve)) {
      const now = Date.now();
      flow = Math.max(flow, now) + millis / most;
      if (flow - now > millis) return end(1008, "too many messages");
    }
    hand(origin, data);
  });
  origin.addEventListener("message", ({ data }) => hand(client, data));
  tie(client, origin);
  tie(origin, client);
  // The object that counts goes with a deploy, and so does this isolate.
  const restart = () => {
    if (open.has(going.resolve)) end(1012, "the gateway restarts");
  };
  place?.addEventListener("close", restart);
  going.promise.then(restart);
  client.accept();
  origin.accept();
  return theirs;
}
