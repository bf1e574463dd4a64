// tools/serve.mjs CONFIG PORT STATE: the production build before your own origin, on this machine.
import { resolve } from "node:path";
import { BadConfig, PortTaken, configModule, runGate } from "./gate.mjs";
import { localEnv, printLog, stopOnSignal } from "./local.mjs";

const [config = "tidegate.toml", port = "8787", state = ".state"] = process.argv.slice(2);
try {
    const gate = await runGate({
        config: await configModule(resolve(config)),
        port: Number(port),
        state,
        env: localEnv(resolve(config)),
        onLog: printLog,
    });
    stopOnSignal(gate.stop);
    console.log(`ready ${gate.url}`);
} catch (error) {
    console.error(error instanceof BadConfig || error instanceof PortTaken ? error.message : error);
    process.exit(1);
}
