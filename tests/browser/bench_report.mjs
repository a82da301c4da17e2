// How fast the report of 105,000 functions and four counters opens, zooms and searches; prints a table.
// Usage: bench_report.mjs [ROUNDS], with builddir set as for the tests; run by scripts/bench report.
import { closeBrowser, open, sample } from "./harness.mjs";

const rounds = Number(process.argv[2] || 7);
const report = sample("wide", "html"), svg = sample("wide", "svg");
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

// When the page has drawn for the first time, in ms from its navigation's start.
const noteFirstPicture = () => new MutationObserver((_, observer) => {
	const app = document.getElementById("app");
	if (!app || app.hidden)
		return;
	observer.disconnect();
	requestAnimationFrame(() => setTimeout(() => {
		window.firstPicture = performance.now();
	}));
}).observe(document, { subtree: true, childList: true, attributes: true });

// In the page: ms until what an action does is on the screen.
const measure = async () => {
	const picture = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
	const timed = async (action) => {
		await picture();
		const begin = performance.now();
		action();
		await picture();
		return performance.now() - begin;
	};
	const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
	const chart = document.querySelector("#chart"), search = document.querySelector("#search");
	const box = chart.querySelector("canvas").getBoundingClientRect();
	const out = { open: window.firstPicture };
	out.zoom = await timed(() => chart.dispatchEvent(new MouseEvent("click",
		{ clientX: box.left + box.width / 2, clientY: box.bottom - 3.5 * 18, bubbles: true })));
	out.back = await timed(() => press("Escape"));
	out.search = await timed(() => {
		search.value = "handle_1.*7";
		search.dispatchEvent(new Event("input"));
	});
	out.counter = await timed(() => press("2"));
	out.table = await timed(() => press("t"));
	return out;
};

const results = [], svgOpens = [];
for (let i = 0; i < rounds; i++) {
	const { context, page } = await open({ url: report.url, hash: "", options: { reducedMotion: "reduce" },
		script: noteFirstPicture });
	await page.waitForFunction(() => window.firstPicture);
	results.push(await page.evaluate(measure));
	await context.close();
	const other = await open({ url: svg.url, hash: "", options: {} });
	svgOpens.push(await other.page.evaluate(() => performance.getEntriesByType("navigation")[0].domComplete));
	await other.context.close();
}
const of = (key) => Math.round(median(results.map((r) => r[key])));
const mb = (size) => (size / 1e6).toFixed(2) + " MB";
console.log("| file | size | opens, ms | zoom | zoom out | search | next counter | table |");
console.log("|---|---:|---:|---:|---:|---:|---:|---:|");
console.log("| report | " + [mb(report.size), ...["open", "zoom", "back", "search", "counter", "table"].map(of)].join(" | ") + " |");
console.log("| SVG of one counter | " + mb(svg.size) + " | " + Math.round(median(svgOpens)) + " | | | | | |");
await closeBrowser();
