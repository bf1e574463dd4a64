// The Durable Objects, by the names under which wrangler.toml binds them.
export { Health } from "./health.mjs";
export { Deliveries } from "./deliveries.mjs";
export { Fleet } from "./fleet.mjs";
export { Limiter } from "./limiter.mjs";
export { Metrics } from "./metrics.mjs";
export { Shield } from "./shield.mjs";
export { Queue } from "./queue.mjs";
export { Warm } from "./warm.mjs";
export { Sockets } from "./sockets.mjs";
