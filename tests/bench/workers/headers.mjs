// Reads 10 header fields and sets 8: what any middleware in JavaScript does at least.
const READ = ["accept", "accept-encoding", "accept-language", "authorization", "cookie", "host", "if-none-match", "range", "user-agent", "x-api-key"];

export default {
    fetch(request) {
        let length = 0;
        for (const name of READ) length += request.headers.get(name)?.length ?? 0;
        const response = new Response("hello");
        response.headers.set("Age", "1");
        response.headers.set("Cache-Control", "public, max-age=60");
        response.headers.set("Cache-Status", "headers; hit");
        response.headers.set("ETag", '"1"');
        response.headers.set("RateLimit", `"a";r=${length};t=1`);
        response.headers.set("RateLimit-Policy", '"a";q=100;w=60');
        response.headers.set("Via", "2 headers");
        response.headers.set("X-Request-Id", "1");
        return response;
    },
};
