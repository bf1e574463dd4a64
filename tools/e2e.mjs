// Runs the end-to-end tests: tools/e2e.mjs [file.test.mjs ...], all of them without an argument.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./gate.mjs";

const folder = join(ROOT, "tests/e2e");
const chosen = process.argv.slice(2).map((file) => file.replace(/^(?!.*\/)/, `${folder}/`));
const files = chosen.length > 0 ? chosen : readdirSync(folder).filter((file) => file.endsWith(".test.mjs")).map((file) => join(folder, file));
const { status } = spawnSync(
    process.execPath,
    ["--test", "--test-reporter=spec", "--test-concurrency=2", "--test-timeout=120000", ...files],
    { stdio: "inherit", cwd: ROOT },
);
process.exit(status ?? 1);
