// Fail-open: the way of a request when the wasm cannot run. The routes' patterns come from `tidegate build`,
// in the order of their precedence, so that this stays a look-up.

/** What may be sent twice (RFC 9110, section 9.2.2). */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"]);

/** Sends the request to its route's first origin, as it came; a request whose body has been read is refused. */
export function passThrough(call, { passthrough = [], dropped, prefix, id }) {
  const { request, env } = call;
  if (request.bodyUsed) return refusal("the request's body had been read when the gateway failed");
  if (call.sent && !IDEMPOTENT.has(request.method)) return refusal("the request may have reached its origin already");
  const url = new URL(request.url);
  // What is said there, the admin token for one, is for no origin.
  if (isOwn(url.pathname, prefix)) return refusal("the gateway is restarting");
  const via = request.headers.get("cdn-loop") ?? "";
  if (via.split(",").some((member) => member.split(";")[0].trim() === id)) return refusal("the request came from here");
  const route = dropped && passthrough.find((candidate) => matches(candidate, request, url));
  if (!route) return refusal("no route");
  let path = url.pathname;
  if (route.strip && path.startsWith(route.strip)) path = path.slice(route.strip.length);
  path = rewritten((route.add ?? "") + (path.startsWith("/") ? path : `/${path}`), route.rewrite);
  const target = route.url.replace(/\/$/, "") + path + url.search;
  const headers = endToEnd(request.headers, dropped);
  headers.append("via", `1.1 ${id}`);
  headers.append("cdn-loop", id);
  headers.set("x-forwarded-host", url.host);
  headers.set("x-forwarded-proto", url.protocol.slice(0, -1));
  const client = env.TIDEGATE_LOCAL ? undefined : request.headers.get("cf-connecting-ip");
  if (client) headers.set("x-forwarded-for", client);
  for (const [name, value] of Object.entries(route.fields ?? {})) value === "" ? headers.delete(name) : headers.set(name, value);
  if (route.secret) {
    const [field, scheme, name] = route.secret;
    if (!env[name]) return refusal("the origin's secret is missing");
    headers.set(field, scheme + env[name].trim());
  }
  return fetch(target, { method: request.method, headers, body: request.body, redirect: "manual" }).catch(() =>
    refusal("the origin cannot be reached"),
  );
}

/** Whether a path is one of tidegate's own, also for the most obliging reader (`path::Reading::Lenient`). */
function isOwn(path, prefix) {
  const plain = path.replace(/;[^/]*/g, "").replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  const segments = [];
  for (const segment of plain.split(/[/\\]/)) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  return `/${segments.join("/")}/`.startsWith(`${prefix}/`);
}

/** The fields that are for the origin: as `origin::forward` has it. */
function endToEnd(received, [names, prefixes]) {
  const named = (received.get("connection") ?? "").toLowerCase().split(",").map((name) => name.trim());
  const gone = (name) => names.includes(name) || prefixes.some((prefix) => name.startsWith(prefix)) || (name !== "cdn-loop" && named.includes(name));
  const headers = new Headers();
  for (const [name, value] of received) if (!gone(name)) headers.append(name, value);
  if (received.get("upgrade")?.toLowerCase() === "websocket") headers.set("upgrade", "websocket");
  return headers;
}

/** What the pool makes of a path: what stands for which front, and whether the rest stays. */
function rewritten(path, rewrite) {
  if (!rewrite) return path;
  const [from, to, keepsRest] = rewrite;
  const rest = path.slice(from?.length ?? 0);
  if (from && (!path.startsWith(from) || (rest !== "" && !rest.startsWith("/")))) return path;
  return keepsRest ? to + rest : to;
}

function matches(candidate, request, url) {
  return (
    (!candidate.host || new RegExp(candidate.host, "i").test(url.hostname)) &&
    (!candidate.methods || candidate.methods.includes(request.method)) &&
    new RegExp(candidate.path).test(url.pathname) &&
    Object.entries(candidate.headers ?? {}).every(([name, value]) => {
      const sent = request.headers.get(name);
      return value === true ? sent !== null : sent === value;
    })
  );
}

/** A problem document (RFC 9457) of this module's own. */
export function refusal(detail) {
  const problem = { type: "about:blank", title: "Service Unavailable", status: 503, detail };
  return new Response(JSON.stringify(problem), {
    status: 503,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "retry-after": "1",
      "proxy-status": "tidegate; error=proxy_internal_error",
    },
  });
}
