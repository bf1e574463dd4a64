// A real nginx with a small site: fingerprinted assets, ranges, its own gzip.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const INSTALL_TIMEOUT_MS = 100_000;

function found() {
    try {
        execFileSync("nginx", ["-v"], { stdio: "ignore" });
        return true;
    } catch {
        return false;
    }
}

/**
 * Sees to an nginx, from the system's packages where that can be done.
 *
 * @returns {string | undefined} why there is none
 */
export function missingNginx() {
    if (found()) return undefined;
    if (process.getuid?.() !== 0) return "nginx is not installed, and only root can install it; sudo apt-get install nginx-light";
    try {
        const options = { stdio: "ignore", timeout: INSTALL_TIMEOUT_MS, env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
        execFileSync("apt-get", ["update"], options);
        execFileSync("apt-get", ["install", "-y", "--no-install-recommends", "nginx-light"], options);
    } catch (error) {
        return `nginx is not installed, and apt-get can't install it: ${error.message}`;
    }
    return found() ? undefined : "nginx was installed and still can't be started";
}

export const FILES = {
    "index.html": "<!doctype html><title>Site</title><script src=/assets/app.3f2a9c1b.js></script>",
    "assets/app.3f2a9c1b.js": `console.log("app");\n${"// a comment that makes it worth compressing\n".repeat(200)}`,
    "assets/style-BX7d2kQ1.css": "body { margin: 0 }\n",
    "images/logo.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
    "files/data.bin": "0123456789".repeat(10_000),
};

async function freePort() {
    const probe = createServer();
    await new Promise((done) => probe.listen(0, "127.0.0.1", done));
    const { port } = probe.address();
    await new Promise((done) => probe.close(done));
    return port;
}

/**
 * Starts nginx in a folder of its own, in the foreground, as one process.
 *
 * @param {object} [options]
 * @param {string} [options.api] where requests below /api/ go
 */
export async function startNginx({ api } = {}) {
    const folder = mkdtempSync(join(tmpdir(), "tidegate-nginx-"));
    for (const [file, text] of Object.entries(FILES)) {
        mkdirSync(join(folder, "site", file, ".."), { recursive: true });
        writeFileSync(join(folder, "site", file), text);
    }
    const port = await freePort();
    const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ");
    writeFileSync(join(folder, "nginx.conf"), `
        ${process.getuid?.() === 0 ? "user root;" : ""}
        daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
        events { worker_connections 256; }
        http {
            types { text/html html; text/javascript js; text/css css; image/svg+xml svg; application/octet-stream bin; }
            access_log ${folder}/access.log; ${temp}
            gzip on; gzip_types text/javascript text/css; gzip_vary on; gzip_proxied any;
            server {
                listen 127.0.0.1:${port};
                root ${folder}/site;
                location /files/ { expires 1h; }
                ${api ? `location /api/ { proxy_pass ${api}; }` : ""}
                location = /moved { return 301 /index.html; }
            }
        }`);
    const url = `http://127.0.0.1:${port}`;
    let child, ended;
    const start = async () => {
        child = spawn("nginx", ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")], { stdio: "inherit" });
        ended = new Promise((done) => child.once("exit", done));
        for (let attempt = 0; ; attempt += 1) {
            try {
                await fetch(url);
                return;
            } catch (error) {
                if (attempt === 100) throw error;
                await new Promise((done) => setTimeout(done, 50));
            }
        }
    };
    await start();
    return {
        url,
        /** Starts it again after it was killed. */
        start,
        /** SIGKILL, SIGSTOP, SIGCONT. */
        signal: (name) => child.kill(name),
        async stop() {
            child.kill("SIGKILL");
            await ended;
            rmSync(folder, { recursive: true, force: true });
        },
    };
}
