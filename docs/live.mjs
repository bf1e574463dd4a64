// Makes docs/live.png: some traffic through a running `make dev`, a failover, and the live page as it looks then.
//
//     make dev                                   in one terminal
//     node_modules/.bin/node docs/live.mjs       in another
import { readFileSync } from "node:fs";
import http from "node:http";
import { fileURLToPath } from "node:url";
import bundled from "@sparticuz/chromium";
import { chromium } from "playwright-core";

const [gate = "http://127.0.0.1:8787", pidFile = ".state/a.pid"] = process.argv.slice(2);
const PATHS = ["/", "/images/logo.png", "/assets/app.3f2a9c1b.js", "/", "/assets/style-BX7d2kQ1.css", "/api/posts", "/images/logo.png"];
const VISITORS = 12;
const LONG_MS = 125_000;
const FAILOVER_AFTER_MS = 105_000;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Each from an address of its own, at its own pace; the first ones ask too much. */
async function visit(number, until) {
    for (let n = 0; Date.now() < until; n += 1) {
        const request = http.get(gate + PATHS[(n * 4 + number) % PATHS.length], { localAddress: `127.0.0.${10 + number}`, agent: false });
        await new Promise((done) => request.on("response", (response) => response.resume().on("end", done)).on("error", done));
        const tide = 1.5 + Math.sin(Date.now() / 9000 + number / 4);
        await pause(number < 2 ? 200 : 350 * tide);
    }
}

const until = Date.now() + LONG_MS;
const visitors = Array.from({ length: VISITORS }, (_, number) => visit(number, until));
await pause(FAILOVER_AFTER_MS);
process.kill(Number(readFileSync(pidFile, "utf8")));
await pause(until - Date.now() - 5000);

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_PATH ?? (await bundled.executablePath()), args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 620 } });
await page.goto(`${gate}/_tidegate/`);
await page.waitForSelector("#stream[data-state=live]");
await pause(2000);
await page.screenshot({ path: fileURLToPath(new URL("live.png", import.meta.url)) });
await browser.close();
await Promise.all(visitors);
