// The rules of `tests/it/conformance`, step by step, against the built worker in workerd: the same requests, the same
// replies of the origin, the same expectations. Only the clock is set instead of waited for.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ROOT } from "../../tools/gate.mjs";
import { pause, send, startGate } from "./harness.mjs";
import { startScripted } from "./origins/scripted.mjs";

const RULES = process.env.TIDEGATE_RULES ?? join(ROOT, "build/rules.jsonl");
const SETTLES_WITHIN_MS = 5000;

/** Fields of the connection to the test's own client. */
const OF_THE_CONNECTION = ["connection", "transfer-encoding", "keep-alive"];

/** Methods that workerd answers 501 itself, before the worker sees them. */
const UNKNOWN_METHODS = ["FOO"];

const rules = existsSync(RULES) ? readFileSync(RULES, "utf8").trim().split("\n").map((line) => JSON.parse(line)) : [];
rules.sort((one, other) => one.rule.localeCompare(other.rule) || one.line - other.line);
const origin = await startScripted();
const gates = new Map();

/** The gate with the config of a rule, in front of the scripted origin. */
function gateOf({ config }) {
    const toml = config.replace(/^url = ".*"$/m, `url = "${origin.url}"`);
    if (!gates.has(toml)) gates.set(toml, startGate({ config: toml, entry: join(ROOT, "tests/e2e/clocked.mjs") }));
    return gates.get(toml);
}

/** Lets all work end that goes on after answers. */
async function settle(gate) {
    for (const started = performance.now(); performance.now() - started < SETTLES_WITHIN_MS; await pause(2)) {
        if ((await send(`${gate.url}/__at`, { method: "POST", body: "" })).text === "0") return;
    }
    assert.fail("work after the answer does not end");
}

/** The combined value of a field. */
function field({ rawHeaders }, name) {
    const values = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1].toLowerCase() === name);
    return values.length > 0 ? values.join(", ") : null;
}

/** Header fields as Node wants them: several values of one name in one list. */
function headersOf(fields) {
    const headers = {};
    for (const [name, value] of fields) headers[name] = headers[name] === undefined ? value : [headers[name], value].flat();
    return headers;
}

let hosts = 0;

/** Plays one rule. Each has a host of its own, so that none meets what another one stored. */
async function play(rule) {
    const gate = await gateOf(rule);
    const host = `r${(hosts += 1)}.example`;
    // A gate without TLS: what is http here is https there, and the other way round.
    const scheme = (told) => told && (told.toLowerCase() === "https:" ? "http:" : "https:");
    const there = (text) => text.replaceAll(new RegExp(`(https?:)?//${rule.authority}`, "gi"), (_, told) => `${scheme(told) ?? ""}//${host}`);
    const pairs = (fields) => fields.map(([name, value]) => [name, value === null ? null : there(value)]);
    // Each at a millisecond of its own: what is asked in the one in which another rule wrote counts as asked in the next.
    let now = rule.start + (hosts % 1000);
    for (const [nth, step] of rule.steps.entries()) {
        now += step.after_secs * 1000;
        await send(`${gate.url}/__at`, { method: "POST", body: String(now) });
        if (step.reply) origin.told.set(host, { ...step.reply, fields: pairs(step.reply.fields ?? []) });
        else origin.told.delete(host);
        const before = origin.requests.length;
        const headers = { Host: host, ...headersOf(pairs(step.fields)) };
        const answer = await send(gate.url, { path: step.path, method: step.method, headers, body: step.content ?? undefined });
        await settle(gate);
        const asked = origin.requests.slice(before).filter((request) => request.host === host);
        const place = `step ${nth}, ${step.method} ${step.path}: ${answer.status} ${JSON.stringify(answer.rawHeaders)} ${answer.text}`;
        assert.equal(asked.length > 0, step.reply !== null, `${place}: was the origin asked?`);
        assert.equal(answer.status, step.status, place);
        const boundary = /boundary="?([^";]*)/.exec(field(answer, "content-type") ?? "")?.[1] ?? "";
        if (step.body !== null) assert.equal(answer.text, step.body.replaceAll("{boundary}", boundary), place);
        for (const [name, value] of pairs(step.says).filter(([name]) => !OF_THE_CONNECTION.includes(name))) assert.equal(field(answer, name), value, `${place}, ${name}`);
        for (const [name, value] of pairs(step.asks)) assert.equal(asked.at(-1)?.field(name) ?? null, value, `${place}, ${name} of what the origin got`);
    }
}

test("there are rules to play", () => assert.ok(rules.length > 100, `${rules.length} in ${RULES}`));

for (const name of new Set(rules.map(({ rule }) => rule))) {
    describe(name, () => {
        for (const rule of rules.filter((one) => one.rule === name)) {
            const unknown = rule.steps.some(({ method }) => UNKNOWN_METHODS.includes(method));
            test(`line ${rule.line}`, { skip: unknown && "workerd answers 501 to methods that it does not know" }, () => play(rule));
        }
    });
}
