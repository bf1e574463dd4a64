// Bodies: the streams that pass, and what is read of them whole.

/** A body handle as something that Request and Response take. */
export function content(handle) {
  return handle instanceof Response || handle instanceof Request ? handle.body : handle;
}

/** How much of an upload is handed on at once: one buffer serves for all of it. */
const PIECE_BYTES = 65_536;

/** Streams that were made here, and what they were teed into: the platform pipes none of them into another stream. */
export const made = new WeakSet();

/** Why a body has no end that was read while it came. */
export const BROKEN_OFF = "broken off";

/**
 * A body that says how long it is, and the Promise of all of it. Where it breaks off, what reads it fails because of that, and
 * not before: a store that fails by itself has another reason.
 */
export function fixed(body, length, ctx) {
  if (!(body instanceof ReadableStream) || length < 0) return [body];
  const { readable, writable } = new FixedLengthStream(length);
  const poured = (made.has(body)
    ? pump(body, writable.getWriter()).then(() => writable.close())
    : body.pipeTo(writable, { preventAbort: true })
  ).catch(() => {
    const error = new Error(BROKEN_OFF);
    writable.abort(error).catch(() => {});
    throw error;
  });
  ctx.waitUntil(poured.catch(() => {}));
  made.add(readable);
  return [readable, poured];
}

/** Writes the bytes from `start` up to `end`. */
export async function cut(reader, writer, start, end) {
  try {
    for (let at = 0; at < end; ) {
      const { done, value } = await reader.read();
      if (done) throw new Error(BROKEN_OFF);
      const piece = value.subarray(Math.max(0, start - at), Math.max(0, end - at));
      at += value.byteLength;
      if (piece.byteLength > 0) await writer.write(piece);
    }
    await writer.close();
  } catch (error) {
    writer.abort(error).catch(() => {});
  }
  reader.cancel().catch(() => {});
}

/** Writes a whole body by hand, and leaves the writer open. */
export async function pump(body, writer) {
  try {
    if (body instanceof ReadableStream) for await (const chunk of body) await writer.write(chunk);
    else if (body) await writer.write(body);
  } finally {
    writer.releaseLock();
  }
}

/** The bytes of a body, at most `cap`, after why it broke off (null: it did not); a longer one fails. */
export async function gather(body, cap) {
  if (body === null || body === undefined) return [null, new Uint8Array()];
  if (body instanceof Uint8Array) return [null, body];
  const chunks = [];
  let length = 0;
  let broken = null;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      broken = String(error?.message ?? error);
      return { done: true };
    });
    if (done) break;
    length += value.byteLength;
    if (length > cap) {
      reader.cancel().catch(() => {});
      throw new Error("too large");
    }
    chunks.push(value);
  }
  return [broken, joined(chunks, length)];
}

function joined(chunks, length) {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

/** The bytes of a body of at most `cap` after nothing; after a text, a longer one as a stream. */
export async function hold(body, cap) {
  if (!(body instanceof ReadableStream)) return [null, body ?? new Uint8Array()];
  const reader = body.getReader();
  const chunks = [];
  let length = 0;
  while (length <= cap) {
    const { done, value } = await reader.read();
    if (done) return [null, joined(chunks, length)];
    chunks.push(value);
    length += value.byteLength;
  }
  reader.releaseLock();
  const { readable, writable } = new IdentityTransformStream();
  made.add(readable);
  const writer = writable.getWriter();
  const pour = async () => {
    for (const chunk of chunks) await writer.write(chunk);
    if (made.has(body)) return pump(body, writer).then(() => writable.close());
    writer.releaseLock();
    return body.pipeTo(writable);
  };
  pour().catch((error) => {
    writable.abort(error).catch(() => {});
    body.cancel(error).catch(() => {});
  });
  return ["longer", readable];
}

/**
 * The same body, of which `clock` is told when its reader has to take something or has all of it (true), and when there is
 * nothing for it (false); `sent`, when it has all; and `broke`, where the body broke off: to abort what is read of it alone
 * would end it as if it were whole. `length`: as Content-Length has it.
 */
export function timed(body, length, clock, sent, broke) {
  const { readable, writable } = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
  const reader = body.getReader({ mode: "byob" });
  const writer = writable.getWriter();
  const pour = async () => {
    for (let buffer = new ArrayBuffer(PIECE_BYTES); ; ) {
      const { done, value } = await reader.read(new Uint8Array(buffer)).catch((error) => {
        broke();
        throw error;
      });
      clock(true);
      if (done) break;
      await writer.write(value);
      buffer = value.buffer;
      clock(false);
    }
    await writer.close();
    sent();
    clock(true);
  };
  pour().catch((error) => {
    writer.abort(error).catch(() => {});
    reader.cancel(error).catch(() => {});
  });
  return readable;
}
