// The same job in Hono: secure headers, entity tags, a cache in memory, a rate limit with a memory store.
import { Hono } from "hono";
import { etag } from "hono/etag";
import { secureHeaders } from "hono/secure-headers";
import { rateLimiter } from "hono-rate-limiter";

const stored = new Map();
let app;

// At the first request, since the limiter's store sets a timer, which workerd refuses outside one.
function build() {
    const app = new Hono();
    app.use(secureHeaders());
    app.use(rateLimiter({ windowMs: 60_000, limit: 1e9, keyGenerator: (context) => context.req.header("x-api-key") ?? "anonymous" }));
    app.use(etag());
    app.use(async (context, next) => {
        const hit = stored.get(context.req.url);
        if (hit) return context.body(hit.body, 200, hit.headers);
        await next();
        stored.set(context.req.url, { body: await context.res.clone().text(), headers: Object.fromEntries(context.res.headers) });
    });
    app.get("/cached", (context) => context.text("hello", 200, { "Cache-Control": "public, max-age=60" }));
    return app;
}

export default { fetch: (request, env, ctx) => (app ??= build()).fetch(request, env, ctx) };
