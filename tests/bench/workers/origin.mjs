// The origin of the bench.
const HEADERS = { "Content-Type": "text/plain", ETag: '"1"' };

export default {
    fetch: (request) =>
        new Response("hello", { headers: { ...HEADERS, "Cache-Control": request.url.endsWith("/cached") ? "public, max-age=3600" : "no-store" } }),
};
