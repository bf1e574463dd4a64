// Fail-open: the way of a request when the wasm cannot run. The routes' patterns come from `tidegate build`,
// in the order of their precedence, so that this stays a look-up.

const NOT_BELIEVED = /^(x-forwarded-.*|forwarded|x-real-ip|true-client-ip|x-ratelimit-.*|ratelimit.*|cf-.*|x-tidegate-.*|x-queue-.*)$/;

/** What may be sent twice (RFC 9110, section 9.2.2). */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"]);

/** Sends the request to its route's first origin, as it came; a request whose body has been read is refused. */
export function passThrough(call, { passthrough = [] }) {
  const { request, env } = call;
  if (request.bodyUsed) return refusal("the request's body had been read when the gateway failed");
  if (call.sent && !IDEMPOTENT.has(request.method)) return refusal("the request may have reached its origin already");
  const url = new URL(request.url);
  const route = passthrough.find((candidate) => matches(candidate, request, url));
  if (!route) return refusal("no route");
  let path = url.pathname;
  if (route.strip && path.startsWith(route.strip)) path = path.slice(route.strip.length);
  path = rewritten((route.add ?? "") + (path.startsWith("/") ? path : `/${path}`), route.rewrite);
  const target = route.url.replace(/\/$/, "") + path + url.search;
  const headers = new Headers(request.headers);
  for (const name of [...headers.keys()]) if (NOT_BELIEVED.test(name)) headers.delete(name);
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
