// A refusal with the head and body of tidegate's, from memory: what any worker pays for such an answer.
const ID = "0123456789abcdef0123456789abcdef";

export default {
    fetch(request) {
        const path = request.url.slice(request.url.indexOf("/", 8));
        const known = request.headers.get("x-api-key") ?? request.headers.get("authorization");
        const now = Date.now();
        const reset = Math.ceil(now / 60_000) * 60;
        const wait = String(reset - Math.floor(now / 1000));
        const body = `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,"detail":"20 requests per 60 s on tier anonymous","instance":"/requests/${ID}","violated-policies":["tier"]}`;
        const response = new Response(body, { status: known === path ? 401 : 429 });
        const { headers } = response;
        headers.set("content-type", "application/problem+json");
        headers.append("date", new Date(now).toUTCString());
        headers.append("cache-control", "no-store");
        headers.append("retry-after", wait);
        headers.append("vary", "accept-encoding");
        headers.append("proxy-status", 'js; error=http_request_denied; details="quota tier"');
        headers.append("ratelimit", `"tier";r=0;t=${wait}`);
        headers.append("ratelimit-policy", '"tier";q=20;w=60');
        headers.append("x-ratelimit-limit", "20");
        headers.append("x-ratelimit-policy", "tier");
        headers.append("x-ratelimit-remaining", "0");
        headers.append("x-ratelimit-reset", String(reset));
        headers.append("x-ratelimit-tier", "anonymous");
        headers.append("x-request-id", ID);
        return response;
    },
};
