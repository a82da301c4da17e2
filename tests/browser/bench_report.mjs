// How fast the report of 105,000 functions and four counters opens, zooms and searches; prints a table.
// Usage: bench_report.mjs [ROUNDS], with builddir set as for the tests; run by scripts/bench report.
import { closeBrowser, open, sample } from "./harness.mjs";

const rounds = Number(process.argv[2] || 7);
const report = sample("wide", "html"), svg = sample("wide", "svg");
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

// Before the page's own script: note when it has drawn for the first time, in ms from its navigation's
// start; timed(action) is the ms until what an action does is on the screen.
const instruments = () => {
	const picture = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
	new MutationObserver((_, observer) => {
		const app = document.getElementById("app");
		if (!app || app.hidden)
			return;
		observer.disconnect();
		picture().then(() => {
			window.firstPicture = performance.now();
		});
	}).observe(document, { subtree: true, childList: true, attributes: true });
	window.press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
	window.timed = async (action) => {
		await picture();
		const begin = performance.now();
		action();
		await picture();
		return performance.now() - begin;
	};
};

const actions = {
	zoom: () => window.timed(() => {
		const chart = document.querySelector("#chart"), box = chart.querySelector("canvas").getBoundingClientRect();
		chart.dispatchEvent(new MouseEvent("click",
			{ clientX: box.left + box.width / 2, clientY: box.bottom - 3.5 * 18, bubbles: true }));
	}),
	back: () => window.timed(() => window.press("Escape")),
	search: () => window.timed(() => {
		const input = document.querySelector("#search");
		input.value = "handle_1.*7";
		input.dispatchEvent(new Event("input"));
	}),
	counter: () => window.timed(() => window.press("2")),
	table: () => window.timed(() => window.press("t")),
};

// The page's main thread's CPU time so far, in ms.
async function cpuClock(page) {
	const session = await page.context().newCDPSession(page);
	await session.send("Performance.enable", { timeDomain: "threadTicks" });
	return async () => 1000 * (await session.send("Performance.getMetrics")).metrics.find((m) =>
		m.name === "TaskDuration").value;
}

const walls = [], cpus = [], svgOpens = [];
for (let i = 0; i < rounds; i++) {
	const { context, page } = await open({ url: report.url, hash: "", options: { reducedMotion: "reduce" },
		script: instruments });
	const clock = await cpuClock(page), wall = {}, cpu = {};
	let before = await clock();
	const lap = async (name) => {
		const now = await clock();
		cpu[name] = now - before;
		before = now;
	};
	await page.reload();
	wall.open = await (await page.waitForFunction(() => window.firstPicture)).jsonValue();
	await lap("open");
	for (const name of Object.keys(actions)) {
		wall[name] = await page.evaluate(actions[name]);
		await lap(name);
	}
	walls.push(wall);
	cpus.push(cpu);
	await context.close();
	const other = await open({ url: svg.url, hash: "", options: {} });
	svgOpens.push(await other.page.evaluate(() => performance.getEntriesByType("navigation")[0].domComplete));
	await other.context.close();
}
const keys = ["open", ...Object.keys(actions)];
const row = (results) => keys.map((key) => Math.round(median(results.map((r) => r[key])))).join(" | ");
const mb = (size) => (size / 1e6).toFixed(2) + " MB";
console.log("| file | size | opens, ms | zoom | zoom out | search | next counter | table |");
console.log("|---|---:|---:|---:|---:|---:|---:|---:|");
console.log("| report, CPU time of the page | " + mb(report.size) + " | " + row(cpus) + " |");
console.log("| report, until it is on the screen | | " + row(walls) + " |");
console.log("| SVG of one counter, until loaded | " + mb(svg.size) + " | " + Math.round(median(svgOpens)) + " | | | | | |");
await closeBrowser();
