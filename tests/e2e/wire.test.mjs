// What only a wire can carry, through the plain cache: interim responses, bodies without a length, statuses beyond 599,
// many clients at once, and time that really passes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ROOT } from "../../tools/gate.mjs";
import { eventually, pause, send, startGate } from "./harness.mjs";
import { startScripted } from "./origins/scripted.mjs";

const origin = await startScripted();
const example = readFileSync(join(ROOT, "examples/plain-cache/tidegate.toml"), "utf8");
const gate = await startGate({ config: example.replace(/^url = ".*"$/m, `url = "${origin.url}"`) });
const OK = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
const HELLO = "Content-Length: 5\r\n\r\nhello";
let hosts = 0;

/** A host of its own, whose origin answers like this. */
function site(reply) {
    const host = `w${(hosts += 1)}.example`;
    origin.told.set(host, reply);
    return {
        get: (headers = {}) => send(`${gate.url}/x`, { headers: { Host: host, ...headers } }),
        tell: (other) => origin.told.set(host, other),
        asked: () => origin.requests.filter((request) => request.host === host).length,
    };
}

describe("a response is stored however it comes", () => {
    const forms = {
        "after 103 (Early Hints)": { raw: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}${HELLO}` },
        "after 100 and 102": { raw: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${OK}${HELLO}` },
        "from HTTP/1.0, ended by its connection": { raw: "HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\nhello", ends: true },
        "ended by its connection": { raw: `${OK}Connection: close\r\n\r\nhello`, ends: true },
        "in chunks with extensions and trailers": { raw: `${OK}Trailer: x-t\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx-t: 1\r\n\r\n` },
        "with Content-Length twice": { raw: `${OK}Content-Length: 5\r\n${HELLO}` },
        "with bytes that are no ASCII in a field": { raw: `${OK}ETag: "caf\u00e9"\r\n${HELLO}` },
        "with a field of 7,000 bytes": { raw: `${OK}X-Long: ${"x".repeat(7000)}\r\n${HELLO}` },
        "in a coding that nobody knows": { raw: `${OK}Content-Encoding: foo\r\n${HELLO}` },
    };
    for (const [form, reply] of Object.entries(forms)) {
        test(form, async () => {
            const { get, asked } = site(reply);
            const [one, other] = [await get(), await get()];
            assert.deepEqual([one.status, one.text, other.status, other.text], [200, "hello", 200, "hello"]);
            for (const name of ["etag", "x-long", "content-encoding"]) assert.equal(other.headers[name], one.headers[name], name);
            assert.equal(asked(), 1);
        });
    }
});

test("what is no HTTP is a bad gateway, and not stored", async () => {
    for (const line of ["X-Folded: a\r\n b", "X-Spaced : a", "no colon"]) {
        const { get, asked } = site({ raw: `${OK}${line}\r\n${HELLO}` });
        assert.deepEqual([(await get()).status, (await get()).status, asked()], [502, 502, 2], line);
    }
});

test("twenty clients at once cost the origin one request, and twenty where its answer is for nobody else", async () => {
    for (const [said, times] of [["max-age=60", 1], ["no-store", 20]]) {
        const { get, asked } = site({ raw: `HTTP/1.1 200 OK\r\nCache-Control: ${said}\r\n${HELLO}`, after: 100 });
        const all = await Promise.all(Array.from({ length: 20 }, () => get()));
        assert.ok(all.every(({ text }) => text === "hello"), said);
        assert.equal(asked(), times, said);
    }
});

test("seconds that pass are Age, and end freshness", async () => {
    const { get, asked } = site({ status: 200, fields: [["Cache-Control", "max-age=2"], ["ETag", '"a"']], body: "old", with_length: true });
    await get();
    await pause(1050);
    const aged = await get();
    assert.deepEqual([aged.text, aged.headers.age, asked()], ["old", "1", 1]);
    await pause(1050);
    assert.equal((await get()).text, "old");
    assert.equal(asked(), 2);
});

test("while a stale response is refreshed clients get it at once, then the new one", async () => {
    const reply = (body) => ({ status: 200, fields: [["Cache-Control", "max-age=1, stale-while-revalidate=60"]], body, with_length: true });
    const { get, tell, asked } = site(reply("old"));
    await get();
    tell({ ...reply("new"), after: 200 });
    await pause(1100);
    const stale = await Promise.all([get(), get(), get()]);
    assert.deepEqual(stale.map(({ text }) => text), ["old", "old", "old"]);
    await eventually(async () => assert.equal((await get()).text, "new"));
    assert.equal(asked(), 2);
});
