// A site behind a real nginx, with its own gzip, ranges and validators.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { before, eventually, send, startGate, stopLater } from "./harness.mjs";
import { FILES, missingNginx, startNginx } from "./origins/nginx.mjs";

const missing = missingNginx();
if (missing) console.error(`\n!!! NOT TESTED with nginx: ${missing}\n`);

describe("a site on nginx", { skip: missing }, () => {
    let nginx, gate;
    test("starts", async () => {
        nginx = stopLater(await startNginx());
        gate = await startGate({ config: before(nginx.url) });
    });

    for (const file of Object.keys(FILES)) {
        test(`/${file} comes as it is, with nginx's validators`, async () => {
            const [through, direct] = [await gate.get(`/${file}`), await send(`${nginx.url}/${file}`)];
            assert.equal(through.status, 200);
            assert.equal(through.text, FILES[file]);
            for (const name of ["etag", "last-modified", "content-type"]) assert.equal(through.headers[name], direct.headers[name], name);
        });
    }

    test("a fingerprinted script is stored, and kept by browsers for a year", async () => {
        const answer = await eventually(async () => {
            const answer = await gate.get("/assets/app.3f2a9c1b.js");
            assert.match(answer.headers["cache-status"], /^tidegate; hit/);
            return answer;
        });
        assert.equal(answer.headers["cache-control"], "public, max-age=31536000, immutable");
    });

    test("gzip is nginx's own or ours, once, and decodes to the file", async () => {
        for (let n = 0; n < 3; n += 1) {
            const answer = await gate.get("/assets/app.3f2a9c1b.js", { headers: { "Accept-Encoding": "gzip" } });
            assert.equal(answer.headers["content-encoding"], "gzip");
            assert.equal(gunzipSync(answer.bytes).toString(), FILES["assets/app.3f2a9c1b.js"]);
            assert.match(answer.headers.vary, /accept-encoding/i);
            const plain = await gate.get("/assets/app.3f2a9c1b.js");
            assert.equal(plain.headers["content-encoding"], undefined);
            assert.equal(plain.text, FILES["assets/app.3f2a9c1b.js"]);
        }
    });

    test("a range of a file", async () => {
        for (let n = 0; n < 2; n += 1) {
            const answer = await gate.get("/files/data.bin", { headers: { Range: "bytes=10-14" } });
            assert.equal(answer.status, 206);
            assert.equal(answer.headers["content-range"], "bytes 10-14/100000");
            assert.equal(answer.text, "01234");
        }
    });

    test("nginx's redirects and errors are handed on", async () => {
        const moved = await gate.get("/moved");
        assert.equal(moved.status, 301);
        assert.match(moved.headers.location, /\/index\.html$/);
        assert.equal((await gate.get("/none")).status, 404);
        assert.match((await gate.get("/none")).text, /nginx/);
    });

    test("a validator of nginx holds at the gate", async () => {
        const { headers } = await gate.get("/files/data.bin");
        const answer = await gate.get("/files/data.bin", { headers: { "If-None-Match": headers.etag } });
        assert.equal(answer.status, 304);
        const since = await gate.get("/files/data.bin", { headers: { "If-Modified-Since": headers["last-modified"] } });
        assert.equal(since.status, 304);
    });
});
