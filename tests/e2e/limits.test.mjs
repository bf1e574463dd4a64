// Who may how much, what a client is told about it, and what happens when the limiter is away.
import assert from "node:assert/strict";
import { createHash, createHmac, createSign, generateKeyPairSync } from "node:crypto";
import { before as beforeAll, describe, test } from "node:test";
import { before, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const SECRET = "a secret of the test that is long enough";
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
let origin, gate;
let clients = 10;

/** A client that nobody has counted yet: another loopback address. */
const stranger = () => `127.0.0.${(clients += 1)}`;
const base64url = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

/** A token; `sign` gets what is to be signed. */
function token(header, claims, sign) {
    const signed = `${base64url(header)}.${base64url(claims)}`;
    return `${signed}.${sign(signed).toString("base64url")}`;
}
const hs256 = (claims, secret = SECRET) => token({ alg: "HS256", typ: "JWT" }, claims, (text) => createHmac("sha256", secret).update(text).digest());
const es256 = (claims) => token({ alg: "ES256", kid: "k1" }, claims, (text) => createSign("sha256").update(text).sign({ key: privateKey, dsaEncoding: "ieee-p1363" }));

async function addKey(key, record) {
    const hash = createHash("sha256").update(key).digest("hex");
    await (await gate.kv()).put(`key:${hash}`, JSON.stringify(record));
}

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({
        config: before(origin.url, `\n[identity.jwt]\nalgorithm = "HS256"\nsecret_binding = "JWT_SECRET"\n`),
        env: { JWT_SECRET: SECRET },
        fault: true,
    });
});

test("the 21st anonymous request in a minute is refused, and told everything", async () => {
    const from = stranger();
    for (let n = 1; n <= 20; n += 1) {
        const answer = await gate.get("/api/thing", { from });
        assert.equal(answer.status, 200, `request ${n}`);
        assert.equal(answer.headers["x-ratelimit-remaining"], String(20 - n));
    }
    const before = origin.requests.length;
    const answer = await gate.get("/api/thing", { from });
    const { headers } = answer;
    assert.equal(answer.status, 429);
    assert.equal(origin.requests.length, before);
    assert.match(headers["ratelimit-policy"], /^"[\w.-]+";q=20;w=60(, |$)/);
    const [, remaining, reset] = /^"[\w.-]+";r=(\d+);t=(\d+)/.exec(headers.ratelimit);
    assert.equal(remaining, "0");
    assert.ok(reset >= 1 && reset <= 60);
    assert.equal(headers["x-ratelimit-limit"], "20");
    assert.equal(headers["x-ratelimit-remaining"], "0");
    assert.ok(Math.abs(Number(headers["x-ratelimit-reset"]) - Date.now() / 1000) <= 61);
    assert.match(headers["x-ratelimit-policy"], /^[\w.-]+$/);
    assert.equal(headers["x-ratelimit-tier"], "anonymous");
    assert.ok(Number(headers["retry-after"]) >= Math.max(1, Number(reset)) && Number(headers["retry-after"]) <= 60);
    assert.equal(headers["content-type"], "application/problem+json");
    assert.equal(headers["cache-control"], "no-store");
    assert.match(headers["proxy-status"], /^tidegate; error=http_request_denied/);
    const problem = answer.json();
    assert.equal(problem.type, "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert.equal(problem.status, 429);
    assert.equal(problem.instance, `/requests/${headers["x-request-id"]}`);
    assert.ok(headers["x-ratelimit-policy"].startsWith(problem["violated-policies"][0]));
});

test("of forty requests at once exactly twenty get through", async () => {
    const from = stranger();
    const answers = await Promise.all(Array.from({ length: 40 }, () => gate.get("/api/burst", { from })));
    assert.equal(answers.filter(({ status }) => status === 200).length, 20);
    assert.equal(answers.filter(({ status }) => status === 429).length, 20);
});

test("one client's requests do not count for another", async () => {
    const from = stranger();
    for (let n = 0; n < 21; n += 1) await gate.get("/api/thing", { from });
    assert.equal((await gate.get("/api/thing", { from })).status, 429);
    assert.equal((await gate.get("/api/thing", { from: stranger() })).status, 200);
});

test("a client does not get another count by what it says", async () => {
    const from = stranger();
    for (let n = 0; n < 20; n += 1) await gate.get("/api/thing", { from });
    const headers = { "X-Forwarded-For": "1.2.3.4", "CF-Connecting-IP": "1.2.3.4", "X-Real-IP": "1.2.3.4", Forwarded: "for=1.2.3.4", "X-API-Key": "made-up" };
    assert.equal((await gate.get("/api/thing", { from, headers })).status, 429);
});

test("what is not limited is not counted", async () => {
    const from = stranger();
    for (let n = 0; n < 25; n += 1) assert.equal((await gate.get("/page", { from })).status, 200);
    assert.equal((await gate.get("/page", { from })).headers["x-ratelimit-limit"], undefined);
});

describe("tiers", () => {
    const quotas = { free: 100, pro: 1000, enterprise: 10000 };
    for (const [tier, quota] of Object.entries(quotas)) {
        for (const [how, show] of [["X-API-Key", (key) => ({ "X-API-Key": key })], ["a bearer", (key) => ({ Authorization: `Bearer ${key}` })]]) {
            test(`a key of tier ${tier} as ${how} has ${quota} a minute`, async () => {
                const key = `tg_${tier}_${how.length}`;
                await addKey(key, { tier, subject: `${tier} ${how}` });
                const { headers } = await gate.get("/api/thing", { from: stranger(), headers: show(key) });
                assert.equal(headers["x-ratelimit-tier"], tier);
                assert.equal(headers["x-ratelimit-limit"], String(quota));
                assert.equal(headers["x-ratelimit-remaining"], String(quota - 1));
            });
        }
    }

    test("a key is counted wherever it comes from", async () => {
        await addKey("tg_roaming", { tier: "free", subject: "roaming" });
        for (const remaining of ["99", "98"]) {
            const { headers } = await gate.get("/api/thing", { from: stranger(), headers: { "X-API-Key": "tg_roaming" } });
            assert.equal(headers["x-ratelimit-remaining"], remaining);
        }
    });

    const rejected = [
        ["that nobody knows", "tg_unknown", null],
        ["that was switched off", "tg_off", { tier: "pro", subject: "x", disabled: true }],
        ["whose time is over", "tg_old", { tier: "pro", subject: "x", not_after: 1000 }],
    ];
    for (const [what, key, record] of rejected) {
        test(`a key ${what} is anonymous`, async () => {
            if (record) await addKey(key, record);
            const { headers } = await gate.get("/api/thing", { from: stranger(), headers: { "X-API-Key": key } });
            assert.equal(headers["x-ratelimit-tier"], "anonymous");
        });
    }

    const claims = (more = {}) => ({ sub: "u1", tier: "pro", exp: inAnHour(), ...more });
    const tokens = [
        ["a good one", () => hs256(claims()), "pro"],
        ["signed with another secret", () => hs256(claims(), "another"), "anonymous"],
        ["expired", () => hs256(claims({ exp: 1000 })), "anonymous"],
        ["not yet valid", () => hs256(claims({ nbf: inAnHour() })), "anonymous"],
        ["without a signature", () => token({ alg: "none" }, claims(), () => Buffer.alloc(0)), "anonymous"],
        ["of another algorithm", () => es256(claims()), "anonymous"],
    ];
    for (const [what, make, tier] of tokens) {
        test(`HS256, a token ${what}: ${tier}`, async () => {
            const { headers } = await gate.get("/api/thing", { from: stranger(), headers: { Authorization: `Bearer ${make()}` } });
            assert.equal(headers["x-ratelimit-tier"], tier);
        });
    }

    test("ES256, by the key set of the issuer, which is fetched once", async () => {
        const keys = [{ ...publicKey.export({ format: "jwk" }), kid: "k1", alg: "ES256", use: "sig" }];
        origin.on("/jwks.json", { headers: { "Content-Type": "application/json" }, body: JSON.stringify({ keys }) });
        const other = await startGate({
            config: before(origin.url, `\n[identity.jwt]\nalgorithm = "ES256"\njwks_url = "${origin.url}/jwks.json"\nissuer = "me"\naudience = "us"\n`),
        });
        const show = async (claims) => (await other.get("/api/thing", { from: stranger(), headers: { Authorization: `Bearer ${es256(claims)}` } })).headers["x-ratelimit-tier"];
        const good = { sub: "u1", tier: "enterprise", exp: inAnHour(), iss: "me", aud: ["us", "them"] };
        assert.equal(await show(good), "enterprise");
        assert.equal(await show({ ...good, iss: "you" }), "anonymous");
        assert.equal(await show({ ...good, aud: "them" }), "anonymous");
        assert.equal(await show({ ...good, tier: undefined }), "free");
        assert.equal(origin.to("/jwks.json").length, 1);
        await other.stop();
    });
});

test("RATE_LIMIT_ENABLED=false switches limits off", async () => {
    const open = await startGate({ config: before(origin.url), env: { RATE_LIMIT_ENABLED: "false" } });
    for (let n = 0; n < 25; n += 1) {
        const answer = await open.get("/api/thing");
        assert.equal(answer.status, 200);
        assert.equal(answer.headers["x-ratelimit-limit"], undefined);
    }
    await open.stop();
});

for (const limiter of ["fail", "hang"]) {
    test(`a limiter that ${limiter}s admits, and the header says so`, async () => {
        await gate.fault({ limiter });
        const from = stranger();
        for (let n = 0; n < 25; n += 1) {
            const answer = await gate.get("/api/thing", { from });
            assert.equal(answer.status, 200);
            assert.match(answer.headers["x-ratelimit-policy"], /;degraded$/);
            assert.ok(answer.ms < 1000, `${answer.ms} ms`);
        }
        await gate.fault({});
        assert.match((await gate.get("/api/thing", { from })).headers["x-ratelimit-remaining"], /^\d+$/);
    });
}

test("counts outlive a restart", async () => {
    const from = stranger();
    for (let n = 0; n < 3; n += 1) await gate.get("/api/thing", { from });
    await gate.restart();
    assert.equal((await gate.get("/api/thing", { from })).headers["x-ratelimit-remaining"], "16");
});
