// The live page: each message on the stream is one whole snapshot (src/record/snapshot.rs); the page draws it.

const PING_EVERY = 20_000; // ms of silence; the platform answers "pong" without waking anything
const ANSWER_WITHIN = 10_000; // ms; a stream that leaves a ping or its opening unanswered for longer is dead
const RETRY_FIRST = 1_000; // ms
const RETRY_LAST = 30_000; // ms
const RATE_OVER = 5; // s

const LAYERS = [
    ["memory", "Memory", ["memory"]],
    ["colo", "Colo", ["colo"]],
    ["kv", "KV", ["kv"]],
    ["stale", "Stale", ["stale-while-revalidate", "stale-if-error"]],
    ["origin", "Origin", ["origin"]],
    ["refused", "Refused", ["limiter"]],
    ["other", "Other", ["static", "tidegate", "error"]],
];

const $ = (id) => document.getElementById(id);
const sum = (numbers) => numbers.reduce((all, n) => all + n, 0);
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

const number = (n) => (n < 100_000 ? plain : short).format(n);
const percent = (part, whole) => (whole ? `${plain.format((100 * part) / whole)} %` : "–");
const bytes = (n) => {
    const step = n < 1 ? 0 : Math.min(4, Math.floor(Math.log10(n) / 3));
    return `${plain.format(n / 1000 ** step)} ${["B", "kB", "MB", "GB", "TB"][step]}`;
};
const millis = (n) => {
    if (n === null) return "–";
    if (n < 1) return "<1 ms";
    return n < 1000 ? `${n} ms` : `${(n / 1000).toFixed(n < 10_000 ? 2 : 1)} s`;
};
const span = (ms, units = 2) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    const parts = [
        ["d", 86_400],
        ["h", 3600],
        ["min", 60],
        ["s", 1],
    ];
    const at = parts.findIndex(([, size]) => s >= size);
    if (at < 0) return "0 s";
    const [unit, size] = parts[at];
    const next = units > 1 && parts[at + 1];
    const rest = next ? Math.floor((s % size) / next[1]) : 0;
    return `${Math.floor(s / size)} ${unit}${rest ? ` ${rest} ${next[0]}` : ""}`;
};

// ---- drawing ----

/** Sets a text only where it changed, so that nothing is laid out or read out for nothing. */
function say(id, text) {
    const node = $(id);
    if (node.textContent !== text) node.textContent = text;
}

/** A big figure with its unit in small. */
function figure(id, text) {
    const [value, unit] = text.split(" ");
    const small = document.createElement("small");
    small.textContent = unit ? ` ${unit}` : "";
    $(id).replaceChildren(value, small);
}

function cell(content, tag) {
    const node = document.createElement(tag);
    if (tag === "th") node.scope = "row";
    const { text, mark, swatch, title } = content?.text === undefined ? { text: content } : content;
    if (swatch) node.append(Object.assign(document.createElement("i"), { className: swatch }));
    node.append(String(text));
    if (mark) node.className = mark;
    if (title) node.title = title;
    return node;
}

/** Fills a table's body; the rows are few, and unchanged ones stay as they are. */
function rows(id, list, nothing) {
    const body = $(id).tBodies[0];
    const shown = list.map((row) => JSON.stringify(row));
    if (!list.length) shown.push(nothing);
    shown.forEach((key, at) => {
        if (body.rows[at]?.dataset.key === key) return;
        const tr = document.createElement("tr");
        tr.dataset.key = key;
        if (list.length) tr.append(...list[at].map((content, column) => cell(content, column ? "td" : "th")));
        else tr.append(Object.assign(cell(nothing, "td"), { colSpan: $(id).tHead.rows[0].cells.length }));
        if (body.rows[at]) body.rows[at].replaceWith(tr);
        else body.append(tr);
    });
    while (body.rows.length > shown.length) body.lastElementChild.remove();
}

const bad = (n, mark = "bad") => ({ text: number(n), mark: n ? mark : "zero" });

function path(svg, at, className, d) {
    let node = svg.children[at];
    if (!node) {
        node = document.createElementNS("http://www.w3.org/2000/svg", "path");
        svg.append(node);
    }
    node.setAttribute("class", className);
    node.setAttribute("d", d);
}

/** The next round number. */
function ceiling(n) {
    const power = 10 ** Math.floor(Math.log10(Math.max(n, 1)));
    return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= n);
}

/** A small line with a soft area under it; `null` is a gap. */
function spark(id, values, top, label) {
    const svg = $(id);
    const width = values.length - 1;
    svg.setAttribute("viewBox", `0 0 ${width} 100`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-label", label);
    svg.classList.toggle("quiet", !values.some(Boolean));
    let [line, area, from] = ["", "", null];
    values.forEach((value, x) => {
        if (value === null) from = null;
        if (value === null) return;
        const y = 97 - (94 * Math.min(value, top)) / (top || 1);
        line += from === null ? `M${x} ${y}h.01` : `L${x} ${y}`;
        from ??= x;
        if (x === width || values[x + 1] === null) {
            const run = values
                .slice(from, x + 1)
                .map((v, i) => `L${from + i} ${97 - (94 * Math.min(v, top)) / (top || 1)}`);
            area += `M${from} 100${run.join("")}L${x} 100Z`;
        }
    });
    path(svg, 0, "area", area);
    path(svg, 1, "line", line);
}

/** Who answered, one layer on the other. */
function stack(series, totals) {
    const svg = $("traffic");
    const peak = Math.max(...totals);
    const top = ceiling(Math.max(peak, 2));
    let below = totals.map(() => 0);
    LAYERS.forEach(([name], at) => {
        const above = below.map((n, x) => n + series[name][x]);
        const point = (n, x) => `${x} ${(100 - (100 * n) / top).toFixed(2)}`;
        const back = below.map(point).reverse();
        path(svg, at, name, series[name].some(Boolean) ? `M${above.map(point).join("L")}L${back.join("L")}Z` : "");
        below = above;
    });
    say("scale", number(top));
    say("half", number(top / 2));
    const shares = LAYERS.map(([name, title]) => [title, sum(series[name])]).filter(([, n]) => n);
    const said = shares.map(([title, n]) => `${title} ${percent(n, sum(totals))}`).join(", ");
    svg.setAttribute(
        "aria-label",
        `The last two minutes: at most ${number(peak)} requests in a second. ${said || "No requests"}.`,
    );
}

function draw(snapshot) {
    const { recent, totals, series, traffic, health } = snapshot;
    const perSecond = series.memory.map((_, x) => sum(LAYERS.map(([name]) => series[name][x])));
    const hitsAt = (x) => series.memory[x] + series.colo[x] + series.kv[x] + series.stale[x];
    const ratio = perSecond.map((n, x) => (n - series.refused[x] ? hitsAt(x) / (n - series.refused[x]) : null));
    const of = (figures, names) => sum(names.map((name) => figures.answers[name] ?? 0));
    const refused = of(recent, ["limiter"]);
    const hits = sum(LAYERS.slice(0, 4).map(([, , names]) => of(recent, names)));
    const rate = sum(perSecond.slice(-RATE_OVER)) / RATE_OVER;

    $("health").dataset.status = health.status;
    const word = { ok: "All is well", degraded: "Degraded", down: "Down" }[health.status];
    say("health-word", word);
    document.title = health.status === "ok" ? "tidegate" : `${word}: tidegate`;
    say("rate", number(rate));
    say("rate-note", `${number(totals.requests)} in all`);
    spark(
        "rate-spark",
        perSecond,
        Math.max(...perSecond),
        `Now ${number(rate)} requests per second, at most ${number(Math.max(...perSecond))} in two minutes`,
    );
    figure("hits", percent(hits, recent.requests - refused));
    say("hits-note", `of ${number(recent.requests - refused)} last min`);
    spark("hits-spark", ratio, 1, `Hit ratio over two minutes, now ${percent(hits, recent.requests - refused)}`);
    for (const name of ["p50", "p95", "p99"]) figure(name, millis(recent[name]));
    spark(
        "latency-spark",
        series.p95,
        Math.max(1, ...series.p95),
        `95th percentile over two minutes, in the last minute ${millis(recent.p95)}`,
    );
    say("errors", number(recent.errors));
    $("errors").className = recent.errors ? "bad" : "";
    say("errors-note", `${percent(recent.errors, recent.requests)} last min`);
    spark(
        "errors-spark",
        series.errors,
        Math.max(1, ...series.errors),
        `Server errors per second over two minutes, ${number(recent.errors)} in the last`,
    );
    say("refused", number(refused));
    say("refused-note", `${percent(refused, recent.requests)} last min`);
    spark(
        "refused-spark",
        series.refused,
        Math.max(1, ...series.refused),
        `Refusals per second over two minutes, ${number(refused)} in the last`,
    );
    say("failovers", number(recent.failovers));
    say("failovers-note", `${number(totals.failovers)} in all`);
    spark(
        "failovers-spark",
        series.failovers,
        Math.max(1, ...series.failovers),
        `Failovers per second over two minutes, ${number(recent.failovers)} in the last`,
    );

    stack(series, perSecond);
    rows(
        "answers",
        LAYERS.map(([swatch, text, names]) => {
            const lately = of(recent, names);
            const share = recent.requests ? percent(lately, recent.requests) : "–";
            return [{ text, swatch, title: names.join(", ") }, bad(lately, ""), share, number(of(totals, names))];
        }),
    );
    rows(
        "endpoints",
        snapshot.endpoints.map((e) => {
            const mark = { closed: "good", "half-open": "warn", open: "bad" }[e.state];
            const state = e.state === "closed" ? e.state : `${e.state}, ${span(snapshot.now - e.since, 1)}`;
            const name = `${e.pool} / ${e.endpoint}`;
            return [{ text: name, title: name }, { text: state, mark }, number(e.requests), bad(e.errors)];
        }),
        "No endpoint was asked in the last minute.",
    );
    rows(
        "tiers",
        snapshot.tiers.map((t) => [
            t.tier,
            number(t.requests),
            bad(t.refused, "warn"),
            bad(t.refused_recently, "warn"),
        ]),
        "No request yet.",
    );
    say(
        "policies",
        snapshot.policies.map(([policy, n]) => `${policy} refused ${number(n)}`).join(", ") || "No policy has refused.",
    );
    rows(
        "routes",
        snapshot.routes.map((r) => [r.route, number(r.requests), bad(r.errors)]),
        "No request yet.",
    );
    rows(
        "incidents",
        Object.entries(totals.incidents).map(([what, n]) => [
            what.replaceAll("-", " "),
            bad(recent.incidents[what] ?? 0, "warn"),
            number(n),
        ]),
        "None.",
    );
    const reasons = health.reasons.length ? health.reasons.map((r) => r.detail) : ["Nothing stands in the way."];
    if (reasons.join() !== $("reasons").dataset.key) {
        $("reasons").dataset.key = reasons.join();
        $("reasons").replaceChildren(
            ...reasons.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
        );
    }
    pairs([
        ["Requests", number(totals.requests)],
        ["Errors", number(totals.errors)],
        ["p50, p95, p99", [totals.p50, totals.p95, totals.p99].map(millis).join(", ")],
        ["Asked of origins", number(traffic.origin_attempts)],
        ["Collapsed", number(traffic.collapsed)],
        ["Bytes of known length", bytes(traffic.bytes)],
    ]);
    say("version", `tidegate ${snapshot.version}`);
}

function pairs(list) {
    const nodes = list.flatMap(([name, text]) => [
        ["dt", name],
        ["dd", text],
    ]);
    const all = $("all");
    nodes.forEach(([tag, text], at) => {
        if (!all.children[at]) all.append(document.createElement(tag));
        if (all.children[at].textContent !== text) all.children[at].textContent = text;
    });
}

// ---- the stream ----

let socket = null;
let newest = null; // the newest snapshot, and when it came
let cameAt = 0;
let heardAt = 0; // when anything came
let askedAt = 0; // when the stream was opened or pinged; 0 once it has answered
let downSince = 0; // 0 while the stream is up
let retryAt = 0;
let failures = 0;

function connect() {
    retryAt = 0;
    drop();
    const url = new URL("live", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const mine = new WebSocket(url);
    socket = mine;
    askedAt = Date.now();
    mine.onmessage = ({ data }) => {
        if (mine !== socket) return;
        heardAt = Date.now();
        askedAt = 0;
        if (data === "pong") return;
        newest = JSON.parse(data);
        cameAt = heardAt;
        [downSince, failures] = [0, 0];
        show();
        if (!document.hidden) draw(newest);
    };
    mine.onclose = () => mine === socket && fail();
    show();
}

/** Lets go of the socket without listening to its end. */
function drop() {
    const old = socket;
    socket = null;
    old?.close();
}

function fail() {
    drop();
    downSince ||= Date.now();
    const wait = Math.min(RETRY_LAST, RETRY_FIRST * 2 ** failures);
    failures += 1;
    retryAt = Date.now() + wait * (0.5 + Math.random() / 2);
    show();
}

/** Says how the stream is. The sentence is read out when it changes; the countdown beside it is not. */
function show() {
    const now = Date.now();
    const state = downSince ? "down" : newest ? "live" : "connecting";
    $("stream").dataset.state = state;
    if (state === "live") {
        say("said", "Live");
        const isolates = newest.isolates === 1 ? "1 isolate" : `${newest.isolates} isolates`;
        say("countdown", `counting for ${span(newest.now - newest.started + now - cameAt)}, ${isolates}`);
    } else if (state === "down") {
        const from = newest ? `figures below are from ${clock.format(cameAt)}` : "there are no figures yet";
        say("said", `Stream is down since ${clock.format(downSince)}, ${from}.`);
        say(
            "countdown",
            retryAt ? `Trying again in ${Math.max(1, Math.ceil((retryAt - now) / 1000))} s` : "Trying again now",
        );
    } else {
        say("countdown", "");
    }
    $("again").hidden = state !== "down";
}

setInterval(() => {
    const now = Date.now();
    if (retryAt && now >= retryAt) connect();
    else if (socket && askedAt && now - askedAt > ANSWER_WITHIN) fail();
    else if (socket && !askedAt && now - heardAt > PING_EVERY) {
        socket.send("ping");
        askedAt = now;
    }
    show();
}, 1000);

document.querySelectorAll("svg").forEach((svg) => svg.setAttribute("aria-label", "No figures yet"));
$("again").addEventListener("click", connect);
addEventListener("online", connect);
addEventListener("offline", fail);
document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    if (newest) draw(newest);
    if (downSince) connect();
});
connect();
