// What the browser tests share: samples as pages, a browser for each test, TAP. playwright-core comes from
// `npm ci` in this folder (or from NODE_PATH); the browser is CHROMIUM or the system's.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const buildDir = process.env.builddir || ".";
const browserPath = process.env.CHROMIUM ||
	["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

function skipAll(reason) {
	if (process.env.CI === "true") {
		console.log("Bail out! " + reason);
		process.exit(1);
	}
	console.log("1..0 # SKIP " + reason);
	process.exit(0);
}

let chromium;
try {
	({ chromium } = createRequire(import.meta.url)("playwright-core"));
} catch {
	skipAll("playwright-core is not installed: npm ci in tests/browser");
}
if (!browserPath)
	skipAll("no chromium found");

// Writes the made-up profile of this kind in a format; returns its text and URL.
export function sample(kind, format, event = 0) {
	const file = path.join(buildDir, "tests", "browser", "sample-" + kind + "." + format);
	mkdirSync(path.dirname(file), { recursive: true });
	writeFileSync(file, execFileSync(path.join(buildDir, "tests", "tools", "svg_sample"),
		[kind, format, String(event)], { maxBuffer: 1 << 28 }));
	return { url: pathToFileURL(path.resolve(file)).href, size: readFileSync(file).length,
		text: () => readFileSync(file, "utf8") };
}

const browser = await chromium.launch({
	executablePath: browserPath,
	args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const tests = [];
// A test of the page at url; hash is added to it.
export const test = (name, url, run, { hash = "", ...options } = {}) =>
	tests.push({ name, url, run, hash, options });

// A page, and what must not happen in it; script runs before those of the page.
export async function open({ url, hash, options, script }) {
	const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
	const page = await context.newPage();
	const trouble = [];
	page.on("console", (m) => trouble.push("console: " + m.text()));
	page.on("pageerror", (e) => trouble.push("error: " + e.message));
	page.on("dialog", (d) => { trouble.push("dialog: " + d.message()); d.dismiss(); });
	page.on("request", (r) => r.url().split("#")[0] === url || trouble.push("request: " + r.url()));
	if (script)
		await page.addInitScript(script);
	await page.goto(url + hash);
	return { context, page, trouble };
}

export const closeBrowser = () => browser.close();

export async function runAll() {
	console.log("1.." + tests.length);
	for (const [i, t] of tests.entries()) {
		const { context, page, trouble } = await open(t);
		let failure = "";
		try {
			await t.run(page);
			assert.deepEqual(trouble, []);
		} catch (err) {
			failure = String(err.stack);
		}
		console.log((failure ? "not ok " : "ok ") + (i + 1) + " - " + t.name);
		if (failure)
			console.log(failure.replace(/^/gm, "# "));
		await context.close();
	}
	await closeBrowser();
}
