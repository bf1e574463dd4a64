// The quotas of `tidegate init --example saas`, in workerd: what each tier gets, and what it is told.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { before as beforeAll, test } from "node:test";
import { ROOT } from "../../tools/gate.mjs";
import { startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const SAAS = execFileSync(join(ROOT, "build/tidegate"), ["init", "--example", "saas"], { encoding: "utf8" });
let origin, gate;

async function addKey(key, record) {
    const hash = createHash("sha256").update(key).digest("hex");
    await (await gate.kv()).put(`key:${hash}`, JSON.stringify(record));
}

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: SAAS.replace("https://app.example.com", origin.url) });
});

const post = (path, key) => gate.get(path, { method: "POST", body: "x", headers: key ? { "X-API-Key": key } : {} });

for (const [path, quotas] of [["/api/ai/text", [10, 50, 200]], ["/api/images/new", [5, 25, 100]], ["/api/exports/csv", [20, 100, 400]]]) {
    for (const [at, tier] of ["free", "pro", "enterprise"].entries()) {
        test(`${path} on tier ${tier}: ${quotas[at]} an hour, not one more, from many requests at once`, async () => {
            const key = `${tier}-${path}`;
            await addKey(key, { tier, subject: key });
            const answers = [];
            while (answers.length < quotas[at] + 20) answers.push(...await Promise.all(Array.from({ length: 20 }, () => post(path, key))));
            const of = (status) => answers.filter((answer) => answer.status === status);
            assert.equal(of(200).length, quotas[at]);
            assert.equal(of(429).length, answers.length - quotas[at]);
            for (const { headers } of of(429)) {
                assert.equal(headers["x-ratelimit-tier"], tier);
                assert.ok(Number(headers["retry-after"]) >= 1 && Number(headers["retry-after"]) <= 3600, headers["retry-after"]);
            }
        });
    }
}

test("every policy of a route is listed", async () => {
    const { headers } = await post("/api/images/new");
    assert.equal(headers["ratelimit-policy"], '"images";q=5;w=3600, "images-day";q=1000;w=86400, "address";q=6000;w=60');
    assert.match(headers.ratelimit, /^"images";r=4;t=\d+, "images-day";r=999;t=\d+, "address";r=\d+;t=\d+$/);
});

test("a trial that has ended is what comes after it", async () => {
    const now = Math.floor(Date.now() / 1000);
    await addKey("on-trial", { tier: "pro", until: now + 3600, then: "free", subject: "on-trial" });
    await addKey("was-on-trial", { tier: "pro", until: now - 1, then: "free", subject: "was-on-trial" });
    assert.equal((await post("/api/ai/text", "on-trial")).headers["x-ratelimit-limit"], "50");
    assert.equal((await post("/api/ai/text", "was-on-trial")).headers["x-ratelimit-limit"], "10");
});
