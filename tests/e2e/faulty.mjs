// The entry module as it is, in surroundings that can be broken on demand: `POST /__fault` with {"kv", "limiter",
// "metrics", "shield", "health"}, each "fail", "hang" or a number of milliseconds by which it is slow. Everything else goes
// to the entry.
import entry from "../../src/platform/entry.mjs";

export * from "../../src/platform/entry.mjs";

let faults = {};
const wrapped = new WeakMap();

/** What an operation of a broken helper comes to. */
async function suffer(fault, operation) {
    if (fault === "fail") throw new Error("broken on purpose");
    if (fault === "hang") await new Promise((done) => setTimeout(done, 20_000));
    if (typeof fault === "number") await new Promise((done) => setTimeout(done, fault));
    return operation();
}

function breakable(target, fault) {
    return new Proxy(target, {
        get: (_, name) => {
            const value = target[name];
            if (typeof value !== "function") return value;
            // A stub's methods are remote: `value.apply` would be one of them.
            const operation = (args) => Reflect.apply(value, target, args);
            return (...args) => (fault() === undefined ? operation(args) : suffer(fault(), () => operation(args)));
        },
    });
}

/** A namespace whose objects are breakable; finding an object never fails. */
function breakableObjects(namespace, fault) {
    return new Proxy(namespace, {
        get: (_, name) => {
            const value = namespace[name];
            if (typeof value !== "function") return value;
            const find = value.bind(namespace);
            return name === "get" || name === "getByName" ? (...args) => breakable(find(...args), fault) : find;
        },
    });
}

function surroundings(env) {
    if (!wrapped.has(env)) {
        wrapped.set(env, {
            ...env,
            KV: breakable(env.KV, () => faults.kv),
            LIMITER: breakableObjects(env.LIMITER, () => faults.limiter),
            HEALTH: breakableObjects(env.HEALTH, () => faults.health),
            METRICS: breakableObjects(env.METRICS, () => faults.metrics),
            SHIELD: breakableObjects(env.SHIELD, () => faults.shield),
        });
    }
    return wrapped.get(env);
}

export default {
    ...entry,
    async fetch(request, env, ctx) {
        if (new URL(request.url).pathname === "/__fault") {
            faults = await request.json();
            return new Response("ok");
        }
        return entry.fetch(request, surroundings(env), ctx);
    },
};
