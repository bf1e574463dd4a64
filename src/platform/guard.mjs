// The life of the wasm instance: start it, notice that it died, send what was in flight on its way without it,
// and start a fresh one for the next request. A panic aborts the whole instance: every request in flight loses
// its Rust half, so each of them is answered from here.
import * as wasm from "../../build/wasm/tidegate.js";
import deployed from "../../build/config.mjs";
import { passThrough, refusal } from "./passthrough.mjs";

/** Requests that wait for the wasm. */
export const inFlight = new Set();

/** Counts instances: what an earlier instance asked for must not be handed to a later one. */
let generation = 0;

let bindings = {};
let dead = null;
let traps = 0;

/** Hands the config to the wasm. Never throws: a start that fails is a dead instance, tried again by `enter`. */
export function start(env) {
  bindings = env;
  revive();
}

function revive() {
  try {
    if (generation++ > 0) wasm.__wbg_reset_state();
    dead = null;
    const vars = {};
    for (const [name, value] of Object.entries(bindings)) if (typeof value === "string") vars[name] = value;
    const { packed, checked, config } = deployed;
    wasm.start(String(packed), String(checked), String(config), JSON.stringify(vars), traps);
  } catch (error) {
    dead = error;
    console.error("tidegate: the wasm does not start:", error?.stack ?? error);
  }
}

/** Runs `step`, which calls into the wasm, on a living instance, whose number it is given. Throws what the wasm threw. */
export function enter(step) {
  if (dead !== null) revive();
  if (dead !== null) throw dead;
  return step(generation);
}

/** Runs `step` for an instance that may be gone by now; a trap is noted and everything in flight forwarded. */
export function resume(born, step) {
  if (born !== generation || dead !== null) return;
  try {
    step();
  } catch (error) {
    crash(error);
  }
}

/** The instance is not to be used again: release everybody who waits for it. */
export function crash(error) {
  if (dead === null) {
    traps += 1;
    console.error("tidegate: the wasm trapped:", error?.stack ?? error);
  }
  dead = error ?? new Error("trap");
  const waiting = [...inFlight];
  inFlight.clear();
  for (const call of waiting) call.abandon(dead);
}

/** Answers a request without the wasm: straight to its route's first origin, or a refusal where the config says so. */
export function forward(call) {
  if (deployed.onTrap === "refuse") return refusal("the gateway is restarting");
  return passThrough(call, deployed);
}
