// The live page in a real browser: it moves, it says when it does not, and everybody can read it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before as beforeAll, describe, test } from "node:test";
import bundled from "@sparticuz/chromium";
import { chromium } from "playwright-core";
import { before, startGate } from "./harness.mjs";
import { startOrigin } from "./origins.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const MAX_BYTES = 30_000;
const WITHIN = { timeout: 15_000 };

let origin, gate, browser, page, complaints;

/** CHROMIUM_PATH where it is set, else the Chromium that comes as an npm package. */
async function openBrowser() {
    return chromium.launch({
        executablePath: process.env.CHROMIUM_PATH ?? (await bundled.executablePath()),
        args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        headless: true,
    });
}

/** Opens the page; `breakable` puts a hand on its stream: {refuse, silence, mend, sent}. */
async function open({ breakable = false, ...options } = {}) {
    page = await browser.newPage({ viewport: { width: 1280, height: 800 }, ...options });
    complaints = [];
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    const stream = breakable && (await holdStream());
    const answer = await page.goto(`${gate.url}/_tidegate/`);
    assert.equal(answer.status(), 200);
    await state("live");
    return stream;
}

async function holdStream() {
    let how = "mended";
    let newest;
    const stream = {
        sent: [],
        refuse: () => ((how = "refused"), newest.close()),
        silence: () => (how = "silent"),
        mend: () => (how = "mended"),
    };
    await page.clock.install();
    await page.routeWebSocket(/\/live$/, (socket) => {
        if (how === "refused") return socket.close();
        newest = socket;
        const server = socket.connectToServer();
        server.onMessage((message) => how !== "silent" && socket.send(message));
        socket.onMessage((message) => {
            stream.sent.push(message);
            if (how !== "silent") server.send(message);
        });
    });
    return stream;
}

const state = (name) => page.waitForSelector(`#stream[data-state=${name}]`, WITHIN);
const text = (selector) => page.locator(selector).first().innerText();
const number = async (selector) => Number((await text(selector)).replace(/[^\d.]/g, ""));
const requestsInAll = () => number("#all dd");

async function ask(times) {
    for (let n = 0; n < times; n += 1) assert.equal((await gate.get(`/page-test/${n}`)).status, 200);
}

async function until(what, holds) {
    const end = Date.now() + WITHIN.timeout;
    while (!(await holds())) {
        assert.ok(Date.now() < end, `never came: ${what}`);
        await page.waitForTimeout(100);
    }
}

beforeAll(async () => {
    origin = await startOrigin();
    gate = await startGate({ config: before(origin.url) });
    browser = await openBrowser();
});
after(() => browser?.close());

describe("the live page", () => {
    afterEach(() => page?.close());

    test("its counters move as requests are made, and nobody complains", async () => {
        await open();
        const earlier = await requestsInAll();
        await ask(7);
        await until("seven more requests", async () => (await requestsInAll()) === earlier + 7);
        assert.equal(await text("#health-word"), "All is well");
        await until("a graph", async () => /[1-9]/.test(await page.locator("#traffic").getAttribute("aria-label")));
        assert.match(await text("#answers"), /Origin\s+7/);
        assert.ok((await number("#p99")) >= 0);
        assert.deepEqual(complaints, []);
    });

    test("it comes to rest when the traffic does", async () => {
        await open();
        await ask(5);
        await until("a rate", async () => (await number("#rate")) > 0);
        await until("no rate", async () => (await number("#rate")) === 0);
    });

    test("it says that the stream is down and since when, and comes back by itself", async () => {
        await open();
        const shown = (await requestsInAll()) + 3;
        await ask(3);
        await until("three more requests", async () => (await requestsInAll()) === shown);
        const cut = state("down");
        const restarted = gate.restart();
        await cut;
        assert.match(await text("#said"), /^Stream is down since \d\d:\d\d:\d\d, figures below are from \d\d:\d\d:\d\d\.$/);
        assert.match(await text("#countdown"), /^Trying again (in \d+ s|now)$/);
        assert.equal(await requestsInAll(), shown, "the figures stay");
        await restarted;
        await state("live");
        await ask(2);
        await until("figures move again", async () => (await number("#rate")) > 0);
    });

    test("it waits longer after each failure, and a button brings it back at once", async () => {
        const stream = await open({ breakable: true });
        stream.refuse();
        await state("down");
        await until("a longer wait", async () => (await number("#countdown")) >= 4);
        stream.mend();
        await page.getByRole("button", { name: "Try now" }).focus();
        await page.keyboard.press("Enter");
        await page.waitForSelector("#stream[data-state=live]", { timeout: 1500 });
        assert.equal(await page.getByRole("button").count(), 0);
    });

    test("a stream that has gone silent is noticed", async () => {
        const stream = await open({ breakable: true });
        stream.silence();
        await page.clock.fastForward(25_000);
        await until("a ping", () => stream.sent.includes("ping"));
        await page.clock.fastForward(15_000);
        await state("down");
    });

    test("nothing jumps while it is filled and while the stream is down", async () => {
        await open();
        await ask(3);
        await until("requests", async () => (await requestsInAll()) > 0);
        await page.context().setOffline(true);
        await state("down");
        const shift = await page.evaluate(
            () =>
                new Promise((done) => {
                    let all = 0;
                    new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => (all += value))).observe({
                        type: "layout-shift",
                        buffered: true,
                    });
                    setTimeout(() => done(all), 300);
                }),
        );
        assert.ok(shift < 0.05, `cumulative layout shift ${shift}`);
    });

    for (const colorScheme of ["light", "dark"]) {
        for (const viewport of [
            { width: 1280, height: 800 },
            { width: 390, height: 844 },
        ]) {
            test(`axe finds nothing: ${colorScheme}, ${viewport.width} px, live and down`, async () => {
                await open({ colorScheme, viewport, reducedMotion: "reduce" });
                await ask(3);
                await page.evaluate(AXE);
                assert.deepEqual(await axe(), []);
                await page.context().setOffline(true);
                await state("down");
                assert.deepEqual(await axe(), []);
                const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
                assert.ok(content <= screen, `${content} px wide on ${screen} px`);
            });
        }
    }

    test("it is small, loads nothing from elsewhere, and its policy lets no inline script run", async () => {
        const loaded = [];
        page = await browser.newPage();
        page.on("response", (answer) => loaded.push(answer));
        await page.goto(`${gate.url}/_tidegate/`, { waitUntil: "networkidle" });
        let bytes = 0;
        for (const answer of loaded) {
            assert.ok(answer.url().startsWith(`${gate.url}/_tidegate/`), answer.url());
            bytes += (await answer.body()).length;
        }
        assert.ok(loaded.length >= 3 && bytes < MAX_BYTES, `${loaded.length} files, ${bytes} bytes`);
        const ran = await page.evaluate(() => {
            document.head.append(Object.assign(document.createElement("script"), { textContent: "window.ran = true" }));
            return window.ran === true;
        });
        assert.equal(ran, false);
    });
});

/** What axe holds against the page, in a line each. */
async function axe() {
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}
