// What people do with a report, done in a real browser. Prints TAP.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { runAll, sample, test as testPage } from "./harness.mjs";

const pages = {};
for (const kind of ["counters", "normal", "python", "hostile", "hostile-64k", "empty", "deep", "wide"])
	pages[kind] = sample(kind, "html");
const test = (name, kind, run, options) => testPage(name, pages[kind].url, async (page) => {
	await page.waitForSelector("#app:not([hidden])");
	await run(page);
}, { reducedMotion: "reduce", ...options });

const COUNTERS = ["cycles", "instructions", "cache-references", "cache-misses"];

// The tree that a folded file tells: {name, value, self, kids} with kids in the order of their names.
function treeOf(folded) {
	const node = (name) => ({ name, value: 0, self: 0, kids: [] });
	const root = node("all");
	for (const line of folded.trimEnd().split("\n")) {
		const [, stack, text] = line.match(/^(.*) (\d+)$/);
		let at = root;
		at.value += Number(text);
		for (const frame of stack.split(";")) {
			const name = frame.replace(/_\[[kij]\]$/, "");
			let next = at.kids.find((k) => k.name === name);
			if (!next)
				at.kids.push(next = node(name));
			at = next;
			at.value += Number(text);
		}
		at.self += Number(text);
	}
	return root;
}

const trees = COUNTERS.map((_, e) => treeOf(sample("counters", "folded", e).text()));
const percent = (part, whole) => (100 * part / whole).toFixed(2) + "%";

// Calls visit(node, depth, x): x is where it begins, as a share of the whole.
function walk(root, visit) {
	const step = (node, depth, begin) => {
		visit(node, depth, begin / root.value);
		for (const kid of node.kids) {
			step(kid, depth + 1, begin);
			begin += kid.value;
		}
	};
	step(root, 0, 0);
}

// What a function has: recursion counts once.
function costs(root) {
	const out = {};
	const step = (node, open) => {
		const cost = out[node.name] = out[node.name] || { self: 0, total: 0 };
		cost.self += node.self;
		if (!open.includes(node.name))
			cost.total += node.value;
		node.kids.forEach((kid) => step(kid, [...open, node.name]));
	};
	step(root, []);
	return out;
}

const ROW = 18;
const chartBox = (page, id = "chart") => page.locator("#" + id + " canvas").boundingBox();
const key = (page, ...keys) => keys.reduce((before, k) => before.then(() => page.keyboard.press(k)), Promise.resolve());
const text = (page, selector) => page.locator(selector).textContent();
const hash = async (page) => new URLSearchParams((await page.evaluate(() => location.hash)).slice(1));
const tab = (page, n) => page.locator("#tabs button").nth(n);
const selected = (page) => text(page, "#details h2");
const focused = (page, id = "chart") => page.evaluate((host) => document.getElementById(
	document.getElementById(host).getAttribute("aria-activedescendant")).textContent, id);

// A point in the frame that begins at this share of the chart, in a row counted from the root.
async function pointAt(page, depth, share, id = "chart") {
	const box = await chartBox(page, id);
	const up = await page.evaluate(() => !/icicle/.test(location.hash));
	return [box.x + share * box.width, up && id !== "callees" ? box.y + box.height - (depth + 0.5) * ROW :
		box.y + (depth + 0.5) * ROW];
}

async function hover(page, depth, share, id) {
	await page.mouse.move(...await pointAt(page, depth, share, id));
}

// The hovered frame: its place in the chart, and what the tooltip says.
async function hovered(page, id = "chart") {
	const box = await page.locator("#" + id + " .hover").evaluate((el) =>
		[parseFloat(el.style.left), parseFloat(el.style.width)]);
	return { left: box[0], width: box[1], name: await text(page, "#tip b"),
		cells: await page.locator("#tip tr.current > *").allTextContents() };
}

// The colour of a point of the canvas.
const colourAt = (page, point) => page.evaluate(([x, y]) => {
	const canvas = document.querySelector("#chart canvas"), box = canvas.getBoundingClientRect();
	const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
	pixel.drawImage(canvas, -Math.floor(x - box.left), -Math.floor(y - box.top));
	return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
}, point);

async function pathTo(page, ...names) {
	let at = trees[0], begin = 0, depth = 0;
	for (const name of names) {
		const k = at.kids.findIndex((kid) => kid.name === name);
		begin += at.kids.slice(0, k).reduce((sum, kid) => sum + kid.value, 0);
		at = at.kids[k];
		depth++;
	}
	return pointAt(page, depth, (begin + at.value / 2) / trees[0].value);
}

const clickOn = async (page, ...names) => page.mouse.click(...await pathTo(page, ...names));

test("a first look names the hot function, its shares, and that it is memory-bound", "counters", async (page) => {
	const glance = await text(page, "#glance"), total = trees[0].value;
	const atr = COUNTERS.map((_, e) => costs(trees[e]).calculate_atr);
	assert.ok(glance.startsWith("The largest share of cycles in one function's own code is in calculate_atr: " +
		percent(atr[0].self, total)));
	// Python has less of it than native code, and is named after it: both lines, and the one that has more.
	assert.ok(glance.includes("in one Python function is in rows (load.py): " + percent(750 * 1000003, total)));
	assert.ok(glance.includes("of which line 7 has " + percent(400 * 1000003, total)));
	assert.match(glance, /Memory-bound: 3\.6\d cache-misses per 1000 cycles/);
	assert.equal(await selected(page), "calculate_atr");
	const rows = await page.locator("#details .counters tbody tr").allTextContents();
	COUNTERS.forEach((name, e) => assert.ok(rows[e].startsWith(name + percent(atr[e].self, trees[e].value))));
	await page.locator("#view-flame").waitFor();
	await key(page, "t");
	await page.locator(".functions button", { hasText: "strtod" }).click();
	assert.match(await text(page, "#details .verdict"), /^Not memory-bound/);
	await page.locator(".functions button", { hasText: "log_trade" }).click();
	assert.match(await text(page, "#details .verdict"), /Too few samples/);
});

test("a Python program's hot function and calls are named with the native code below them", "python", async (page) => {
	const glance = await text(page, "#glance");
	assert.match(glance, /^The largest share of cpu-clock in one Python function is in parse \(load\.py\): 50\.00%/);
	assert.match(glance, /of which line 7 has 30\.00%\. The widest Python calls: /);
	assert.ok(glance.includes("<module> (load.py:30) 80.00% \u203a rows (load.py:21) 60.00% \u203a parse (load.py:7) 30.00%."));
	assert.match(glance, /The largest share of cpu-clock in one function's own code is in memcpy: 25\.00%/);
	assert.equal(await selected(page), "parse (load.py:7)");
	assert.match(await text(page, "#details .python"), /^With the native code that it calls.*: 30\.00% of cpu-clock\.$/);
	await page.locator("#glance button", { hasText: "rows (load.py:21)" }).click();
	assert.equal(await selected(page), "rows (load.py:21)");
	assert.match(await text(page, "#details .python"), /: 10\.00% of cpu-clock\.$/);
});

test("what is in no function is stated where it is much", "counters", async (page) => {
	assert.equal(await page.locator("#glance .warning").count(), 0);
	await page.evaluate(() => {
		const func = model.funcs.findIndex((kind, k) => k % FUNC_FIELDS === 1 && kind === KIND.SPECIAL) / FUNC_FIELDS | 0;
		model.costs.self[0][func] = model.base.total[0][0] / 10;
		refresh();
	});
	assert.match(await text(page, "#glance .warning"), /10\.00% of cycles has no function/);
});

test("every frame has its share and its width, to the pixel, for every counter", "counters", async (page) => {
	for (const [e, tree] of trees.entries()) {
		await key(page, String(e + 1));
		const box = await chartBox(page), frames = [];
		walk(tree, (node, depth, x) => frames.push({ node, depth, x }));
		for (const { node, depth, x } of frames) {
			const share = node.value / tree.value, left = x * box.width, right = left + share * box.width;
			if (right - left < 2)
				continue;
			await hover(page, depth, x + share / 2);
			const found = await hovered(page);
			assert.equal(found.name, node.name);
			assert.equal(found.cells[0], COUNTERS[e]);
			assert.equal(found.cells[2].split(" ")[0], percent(node.value, tree.value));
			assert.equal(found.cells[3], percent(node.self, tree.value));
			assert.ok(Math.abs(found.left - left) < 0.01 && Math.abs(found.width - (right - left)) < 0.01);
			// What is drawn begins and ends there: behind its last pixel is the gap to the next frame.
			const [, y] = await pointAt(page, depth, 0), page_ = [252, 251, 248];
			await page.mouse.move(box.x - 5, box.y - 5);
			for (const [at, drawn] of [[Math.round(left), true], [Math.round(right) - 2, true], [Math.round(right) - 1, false]])
				if (right - left > 4)
					assert.equal(String(await colourAt(page, [box.x + at, y])) !== String(page_), drawn,
						node.name + " at " + at);
		}
	}
}, { hash: "#colour=kind" });

test("the table has the shares of every function, and sorts by any column", "counters", async (page) => {
	await key(page, "t");
	const all = trees.map(costs);
	const rows = await page.locator(".functions tbody tr").evaluateAll((trs) =>
		trs.map((tr) => [...tr.children].map((td) => td.textContent)));
	const names = Object.keys(all[0]).filter((name) => !["all", "backtest", "python3"].includes(name));
	assert.deepEqual(rows.map((r) => r[0]).sort(), names.sort());
	const shown = (part, whole) => (part ? percent(part, whole) : "");
	for (const row of rows)
		COUNTERS.forEach((_, e) => {
			const cost = all[e][row[0]] || { self: 0, total: 0 };
			assert.equal(row[2 + 2 * e], shown(cost.self, trees[e].value));
			assert.equal(row[3 + 2 * e], shown(cost.total, trees[e].value));
		});
	const column = (n) => page.locator(".functions tbody tr > :nth-child(" + n + ")").allTextContents();
	const sorted = (values) => values.slice(1).every((v, k) => parseFloat(v || 0) <= parseFloat(values[k] || 0));
	assert.ok(sorted(await column(3)));
	await key(page, "4");
	assert.ok(sorted(await column(9)));
	await page.locator(".functions th button", { hasText: "instructions self" }).click();
	assert.ok(sorted(await column(5)) && !sorted(await column(3)));
	await page.locator(".functions th button", { hasText: "instructions self" }).click();
	assert.ok(sorted((await column(5)).reverse()));
	assert.equal(await page.locator(".functions th[aria-sort]").getAttribute("aria-sort"), "ascending");
	await page.locator(".functions th button", { hasText: "function" }).click();
	const byName = await column(1);
	assert.deepEqual(byName, byName.slice().sort());
});

test("shares are those of top --json, for every function and counter", "counters", async (page) => {
	const top = JSON.parse(execFileSync(process.env.PMUFLAME, ["top", "--json", sample("counters", "pprof").file]));
	const shown = await page.evaluate(() => {
		const out = {};
		for (let f = 0; f < model.funcCount; f++)
			out[nameOf(f)] = model.events.map((_, e) => ["self", "total"].map((key) =>
				model.costs[key][e][f] / model.base.total[e][0]));
		return out;
	});
	let compared = 0;
	for (const event of top.events)
		// Lines of a Python function are one row of top's, and frames of their own here.
		for (const row of event.rows.filter((r) => r.kind !== "python")) {
			const [self, total] = shown[row.name][COUNTERS.indexOf(event.event)];
			assert.ok(Math.abs(self - row.self_share) < 1e-12 && Math.abs(total - row.total_share) < 1e-12, row.name);
			compared++;
		}
	assert.ok(compared >= 4 * 9);
});

test("zoom, search and selection stay when the counter changes", "counters", async (page) => {
	await clickOn(page, "backtest", "main", "parse_csv");
	assert.equal(await selected(page), "parse_csv");
	const zoomed = (await hash(page)).get("zoom");
	await key(page, "/");
	await page.keyboard.type("^strtod$");
	await key(page, "Enter");
	const matched = await page.locator("#tabs .matched").allTextContents();
	COUNTERS.forEach((_, e) => assert.equal(matched[e],
		percent((costs(trees[e]).strtod || { total: 0 }).total, trees[e].value) + " found"));
	const frames = (await text(page, "#found")).match(/^1 of \d+ frames, (.*)$/);
	assert.equal(frames[1], percent(costs(trees[0]).strtod.total, trees[0].value));
	await tab(page, 1).click();
	assert.equal((await hash(page)).get("zoom"), zoomed);
	assert.equal((await hash(page)).get("search"), "^strtod$");
	assert.equal(await tab(page, 1).getAttribute("aria-selected"), "true");
	await hover(page, 3, 0.5);
	assert.equal((await hovered(page)).name, "parse_csv");
	const cycles = costs(trees[0]), instructions = costs(trees[1]);
	assert.ok(instructions.strtod.total / instructions.parse_csv.total > cycles.strtod.total / cycles.parse_csv.total);
	await hover(page, 4, 0.5);
	assert.equal((await hovered(page)).width.toFixed(1),
		(instructions.strtod.total / instructions.parse_csv.total * (await chartBox(page)).width).toFixed(1));
});

test("a bad expression says so and changes nothing", "counters", async (page) => {
	await key(page, "/");
	await page.keyboard.type("(");
	assert.equal(await text(page, "#found"), "not a regular expression");
	await key(page, "Escape");
	assert.equal(await text(page, "#found"), "");
});

test("colours tell a ratio, and where there are too few samples for one", "counters", async (page) => {
	assert.match(await text(page, "#legend"), /cache-misses per 1000 instructions.*fewer than 20 samples/);
	const swatches = await page.locator("#legend .swatch").evaluateAll((els) =>
		els.map((el) => (getComputedStyle(el).backgroundColor.match(/\d+/g) || []).map(Number).slice(0, 3)));
	const point = async (...names) => {
		const [x, y] = await pathTo(page, ...names);
		return colourAt(page, [x, y - 7]); // above the label
	};
	await page.mouse.move(5, 5);
	// 24,917 k misses of 1,500 M instructions, 8 times the program's; strtod has none of 7,625 M.
	assert.deepEqual(await point("backtest", "main", "run"), swatches[6]);
	assert.deepEqual(await point("backtest", "main", "parse_csv", "strtod"), swatches[0]);
	const log = await point("backtest", "main", "log_trade");
	assert.ok(!swatches.slice(0, 7).some((c) => String(c) === String(log)));
	await page.selectOption("#colour", { label: "cycles per instruction" });
	assert.match(await text(page, "#legend"), /cycles per instruction/);
	await page.selectOption("#colour", { label: "cache-references per cache-miss" });
	await key(page, "r");
	await page.selectOption("#colour", "kind");
	assert.match(await text(page, "#legend"), /native.*Python.*kernel.*not attributed/);
});

test("the sandwich shows who calls a function and what it calls", "counters", async (page) => {
	await key(page, "s");
	assert.match(await text(page, "#callers-title"), /Who calls calculate_atr/);
	await hover(page, 1, 0.5, "callers");
	assert.equal((await hovered(page, "callers")).name, "run");
	// main -> run, main -> run -> step -> run, and start_thread -> run, in the order of their names.
	await hover(page, 2, 0.1, "callers");
	const main = await hovered(page, "callers");
	assert.equal(main.name, "main");
	assert.equal((main.width / (await chartBox(page, "callers")).width).toFixed(4), (5200 / 6900).toFixed(4));
	await page.locator("#details button", { hasText: "Callers" }).waitFor();
	await key(page, "t");
	await page.locator(".functions button", { hasText: /^main$/ }).click();
	await key(page, "s");
	await hover(page, 1, 0.1, "callees");
	assert.equal((await hovered(page, "callees")).name, "parse_csv");
	await page.mouse.click(...await pointAt(page, 1, 0.1, "callees"));
	assert.equal(await selected(page), "parse_csv");
	assert.match(await text(page, "#callees-title"), /What main calls/);
});

test("the sandwich has the direct callers in sight", "normal", async (page) => {
	await page.setViewportSize({ width: 1200, height: 400 });
	await page.evaluate(() => {
		state.selected = model.base.func.find((f) => nameOf(f).startsWith("Portfolio.rebalance"));
		setView("sandwich");
	});
	const [top, shown, all] = await page.locator("#callers").evaluate((el) => [el.scrollTop, el.clientHeight, el.scrollHeight]);
	assert.ok(all > shown && Math.abs(top + shown - all) <= 1, [top, shown, all].join(" "));
});

// The rows of the lines: [line, the counter's self and total, text, other counters and ratios].
const lineRows = (page) => page.locator("#view-lines tbody tr").evaluateAll((trs) =>
	trs.map((tr) => [...tr.children].map((td) => td.textContent)));

test("lines of a function, where they are known", "counters", async (page) => {
	await key(page, "t");
	await page.locator(".functions button", { hasText: "rows (load.py:7)" }).click();
	await key(page, "l");
	const total = trees[0].value;
	assert.deepEqual((await lineRows(page)).map((cells) => cells.slice(0, 3)),
		[["7", percent(400 * 1000003, total), percent(400 * 1000003, total)],
			["8", percent(350 * 1000003, total), percent(350 * 1000003, total)]]);
	assert.equal(await text(page, "#view-lines .place"), "/srv/strategy/load.py");
	assert.equal(await text(page, "#view-lines .warning"), "cannot open it: not here");
	await page.locator("#glance button").first().click();
	assert.match(await text(page, "#view-lines"), /No source lines are known/);
});

test("lines stand beside their text, with every counter and ratio", "counters", async (page) => {
	// Lines of one function: calls in one, its own work in another as well.
	await key(page, "t");
	await page.locator(".functions button", { hasText: "parse_csv" }).click();
	await key(page, "l");
	assert.equal(await text(page, "#view-lines .place"), "/src/parse.c");
	assert.equal(await page.locator("#view-lines .warning").count(), 0);
	const rows = await lineRows(page), total = trees[0].value, costs = { 31: [600, 600 + 1900 + 240], 40: [200, 200] };
	// Five lines around each; the file ends with line 42.
	assert.deepEqual(rows.map((cells) => cells[0]), Array.from({ length: 17 }, (_, k) => String(26 + k)));
	for (const [line, values] of Object.entries(costs))
		assert.deepEqual(rows[line - 26].slice(0, 3), [line, ...values.map((n) => percent(n * 1000003, total))]);
	assert.equal(rows[31 - 26][3], "        if (*at == ',') /* \u241b[1m</script> */");
	assert.deepEqual(rows[32 - 26], ["32", "", "                field(at);"]);
	// The other counters and the ratios stand behind the text; of 40, two counters have no samples.
	const [top, below] = await page.locator("#view-lines thead tr").evaluateAll((trs) =>
		trs.map((tr) => [...tr.children].map((th) => th.textContent)));
	assert.deepEqual(top, ["line", "cycles", "source", ...COUNTERS.slice(1), "cache-misses per 1000 instructions",
		"cycles per instruction", "cache-misses per 100 cache-references"]);
	assert.deepEqual(below, COUNTERS.flatMap(() => ["self", "total"]));
	assert.deepEqual(rows[40 - 26].slice(3), ["        return fields;",
		...["1.82%", "1.82%", "", "", "", ""], "0", "0.8", "few samples"]);
	await key(page, "2");
	assert.deepEqual((await lineRows(page))[40 - 26].slice(0, 4), ["40", "1.82%", "1.82%", "        return fields;"]);
	assert.equal(await page.locator("#view-lines .scroll").getAttribute("aria-label"), "Source lines of parse_csv");
});

test("source lines fit a small page, whose body does not scroll sideways", "counters", async (page) => {
	await key(page, "t");
	await page.locator(".functions button", { hasText: "parse_csv" }).click();
	await key(page, "l");
	const box = page.locator("#view-lines .scroll");
	assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
	assert.ok(await box.evaluate((el) => el.scrollWidth > el.clientWidth));
	await box.focus();
	await key(page, "ArrowRight", "ArrowRight");
	await page.waitForFunction(() => document.querySelector("#view-lines .scroll").scrollLeft > 0);
}, { viewport: { width: 400, height: 800 } });

test("processes and threads come apart and together", "counters", async (page) => {
	await clickOn(page, "backtest", "main", "run");
	await page.selectOption("#threads select", "split");
	await hover(page, 2, 0.5);
	assert.equal((await hovered(page)).name, "backtest (41)");
	await hover(page, 4, 0.5);
	assert.equal((await hovered(page)).name, "run");
	await page.selectOption("#processes select", "merge");
	await hover(page, 1, 0.5);
	assert.equal((await hovered(page)).name, "backtest (41)");
	await page.selectOption("#threads select", "merge");
	await key(page, "Escape");
	await hover(page, 1, 0.01);
	assert.equal((await hovered(page)).name, "<module> (load.py:12)");
});

test("a link shows the same again, and Back what was there before", "counters", async (page) => {
	const look = () => page.evaluate(() => [document.querySelector("#chart canvas").toDataURL(), location.hash,
		document.querySelector("#search").value, document.querySelector("#details").textContent,
		document.querySelector("#colour").value].join("\n"));
	await clickOn(page, "backtest", "main");
	await key(page, "2", "i", "r", "/");
	await page.keyboard.type("run|strtod");
	await page.locator("#search").blur();
	await page.selectOption("#threads select", "split");
	const before = await look();
	await page.reload();
	await page.waitForSelector("#app:not([hidden])");
	assert.equal(await look(), before);
	assert.equal((await hash(page)).get("counter"), "instructions");
	const zoomed = (await hash(page)).get("zoom");
	await key(page, "Escape");
	assert.equal((await hash(page)).get("zoom"), null);
	await page.goBack();
	assert.equal((await hash(page)).get("zoom"), zoomed);
});

test("links from elsewhere break nothing", "counters", async (page) => {
	assert.equal(await tab(page, 0).getAttribute("aria-selected"), "true");
	assert.ok(await page.locator("#view-flame").isVisible());
	assert.equal(await selected(page), "calculate_atr");
}, { hash: "#counter=<b>&view=constructor&zoom=1e9&function=-1&colour=__proto__&centre=NaN&search=%00" });

test("the keyboard is enough", "counters", async (page) => {
	for (let i = 0; i < 40 && !await page.evaluate(() => document.activeElement.id === "chart"); i++)
		await key(page, "Tab");
	assert.match(await focused(page), /^all, 100\.00% of cycles/);
	await key(page, "ArrowUp", "ArrowUp");
	assert.match(await focused(page), /^main, /);
	assert.equal(await selected(page), "main");
	await key(page, "ArrowUp");
	assert.match(await focused(page), /^run, .*, self 0\.00%$/);
	await key(page, "ArrowLeft");
	assert.match(await focused(page), /^parse_csv, /);
	const item = page.locator("#" + await page.locator("#chart").getAttribute("aria-activedescendant"));
	assert.deepEqual(await item.evaluate((el) => ["role", "aria-level", "aria-posinset", "aria-setsize"].map((a) =>
		el.getAttribute(a))), ["treeitem", "4", "2", "3"]);
	await key(page, "Enter");
	await hover(page, 3, 0.9);
	assert.equal((await hovered(page)).width, (await chartBox(page)).width);
	await key(page, "Backspace");
	await hover(page, 2, 0.9);
	assert.equal((await hovered(page)).width, (await chartBox(page)).width);
	await key(page, "Escape", "/");
	await page.keyboard.type("strtod");
	await key(page, "Enter");
	assert.equal(await selected(page), "strtod");
	await key(page, "Escape", "?");
	assert.ok(await page.locator("#help").isVisible());
	await key(page, "Escape");
	assert.ok(!await page.locator("#help").isVisible());
	for (const [k, view] of [["t", "table"], ["l", "lines"], ["g", "ledger"], ["s", "sandwich"], ["f", "flame"], ["i", "icicle"]]) {
		await key(page, k);
		assert.equal((await hash(page)).get("view"), view);
	}
});

test("everything that can be used has a name", "counters", async (page) => {
	const nameless = await page.evaluate(() => [...document.querySelectorAll("button, select, input, [tabindex='0']")]
		.filter((el) => el.offsetParent && !(el.textContent.trim() || el.getAttribute("aria-label") || el.closest("label") || el.classList.contains("scroll")))
		.map((el) => el.outerHTML));
	assert.deepEqual(nameless, []);
	assert.match(await page.locator("#chart").getAttribute("aria-label"), /Flame graph of cycles/);
});

test("names and stacks are copied", "counters", async (page) => {
	const copied = async (what) => {
		await page.waitForFunction((said) => document.getElementById("status").textContent === said, "copied the " + what);
		return page.evaluate(() => navigator.clipboard.readText());
	};
	await key(page, "c");
	assert.equal(await copied("name"), "calculate_atr");
	await clickOn(page, "backtest", "main", "parse_csv", "strtod");
	await page.mouse.move(5, 5);
	await key(page, "C");
	assert.equal(await copied("stack"), "backtest;main;parse_csv;strtod");
}, { permissions: ["clipboard-read", "clipboard-write"] });

test("labels are short, names are found by both, shown and copied whole", "normal", async (page) => {
	const name = "market::Strategy::on_bar(market::Bar const&)";
	for (const pattern of ["^market::Strategy::on_bar$", "on_bar\\(market::Bar const&\\)$"]) {
		await page.locator("#search").fill(pattern);
		assert.match(await text(page, "#found"), /^1 of \d+ frames/);
	}
	await key(page, "Enter");
	assert.equal(await selected(page), "market::Strategy::on_bar");
	assert.equal(await page.locator("#details .place").first().textContent(), name);
	await page.locator("#search").blur();
	await key(page, "c");
	await page.waitForFunction(() => document.getElementById("status").textContent === "copied the name");
	assert.equal(await page.evaluate(() => navigator.clipboard.readText()), name);
	await key(page, "t");
	const row = page.locator(".functions .name button");
	assert.equal(await row.first().textContent(), "market::Strategy::on_bar");
	assert.ok((await row.first().getAttribute("title")).startsWith(name));
}, { permissions: ["clipboard-read", "clipboard-write"] });

test("dark mode has a dark page, light text and readable labels", "counters", async (page) => {
	const look = async () => [await colourAt(page, await pointAt(page, 6, 0.02)),
		await page.evaluate(() => getComputedStyle(document.body).color.match(/\d+/g).map(Number))];
	const [lightPage, lightText] = await look();
	await page.emulateMedia({ colorScheme: "dark" });
	// The page hears of it with the next frame that is drawn.
	await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
	const [darkPage, darkText] = await look();
	assert.ok(lightPage[0] > 200 && lightText[0] < 80 && darkPage[0] < 80 && darkText[0] > 200);
});

test("labels have contrast on every colour of a ratio", "counters", async (page) => {
	const colours = await page.evaluate("BIN_COLOURS");
	const light = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255)
		.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
		.reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
	const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
	for (const colour of colours.light)
		assert.ok(contrast(colour, "#201c18") >= 4.5);
	for (const colour of colours.dark)
		assert.ok(contrast(colour, "#ffffff") >= 4.5);
});

test("a narrow window holds everything", "counters", async (page) => {
	await page.setViewportSize({ width: 400, height: 800 });
	for (const view of ["f", "s", "t", "l", "g"]) {
		await key(page, view);
		assert.ok(await page.evaluate(() => document.scrollingElement.scrollWidth) <= 400, view);
	}
	await key(page, "f");
	await page.locator("#chart").scrollIntoViewIfNeeded();
	await hover(page, 0, 0.5);
	assert.ok((await hovered(page)).width > 360);
	assert.ok((await page.locator("#tip").boundingBox()).width <= 380);
});

test("on paper it is light and whole", "deep", async (page) => {
	await page.emulateMedia({ media: "print", colorScheme: "dark" });
	await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
	assert.ok((await page.evaluate(() => getComputedStyle(document.body).color.match(/\d+/g).map(Number)))[0] < 80);
	assert.ok(!await page.locator("#bar").isVisible());
	const box = await chartBox(page);
	assert.ok(box.height <= 15000 && box.height > 5000 && box.width < 700);
	await page.waitForFunction(() => document.querySelector("#chart").scrollTop > 0);
	await page.evaluate(() => dispatchEvent(new Event("afterprint")));
	assert.ok(await page.locator("#bar").isVisible());
});

test("the ledger has the run and every counter", "counters", async (page) => {
	await key(page, "g");
	const ledger = await text(page, "#view-ledger");
	assert.match(ledger, /\.\/backtest --bars 2000000.*aarch64, Linux 6\.18\.44, 8 CPUs.*3\.23 s/);
	for (const name of COUNTERS)
		assert.ok(ledger.includes(name));
	assert.ok(ledger.includes("multiplex") || ledger.includes("1.25"));
});

test("hostile names stay text", "hostile", async (page) => {
	await key(page, "t");
	const names = await page.locator(".functions tbody tr > :first-child").allTextContents();
	for (const name of ["<script>alert(1)</script>&\"'", "</script><script>alert(2)</script>", "__proto__", "constructor",
		"turned <U+202E>around<U+2028> zero<U+200B>width", "semi;colon and\u240anewline"]) {
		assert.ok(names.includes(name), name);
		await page.locator(".functions .name button").nth(names.indexOf(name)).click();
		assert.equal(await selected(page), name);
	}
	for (const view of ["l", "g", "s", "i", "f"])
		await key(page, view);
	const box = await chartBox(page);
	for (let depth = 0; depth < 6; depth++)
		for (const share of [0.05, 0.3, 0.5, 0.7, 0.95])
			await hover(page, depth, share);
	await page.mouse.click(box.x + 20, box.y + box.height - 2.5 * ROW);
	await key(page, "/");
	await page.keyboard.type("<script>");
	assert.match(await text(page, "#found"), /^[1-9]\d* of \d+ frames/);
	assert.ok((await page.title()).startsWith("戦略 ü</title><script>alert(6)</script>&\"'\u241b"));
	assert.ok((await text(page, "#run")).startsWith("<script>alert(7)</script><U+202E>\u2407 · <img src=x"));
	assert.match(await tab(page, 0).textContent(), /^<b>cpu-clock<\/b><U\+202E>/);
	assert.equal(await page.locator("script").count(), 2);
	assert.equal(await page.locator("#app img, #app u").count(), 0);
	assert.ok(await page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth));
}, { hash: "#threads=split" });

test("a name of 64 KB has its place", "hostile-64k", async (page) => {
	await key(page, "t");
	const names = await page.locator(".functions tbody tr > :first-child").allTextContents();
	const longest = names.findIndex((name) => name.length === 65532);
	await page.locator(".functions .name button").nth(longest).click();
	assert.equal((await selected(page)).length, 65532);
	for (const view of ["s", "l", "f"]) {
		await key(page, view);
		assert.ok(await page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth));
	}
});

test("the policy lets only the page's own script and style run", "hostile", async (page) => {
	const source = pages.hostile.text();
	const policy = source.match(/Content-Security-Policy" content="([^"]*)"/)[1];
	const hashOf = (tag) => createHash("sha256").update(source.match(
		new RegExp("<" + tag + ">([^]*?)</" + tag + ">"))[1]).digest("base64");
	assert.equal(policy, "default-src 'none'; script-src 'sha256-" + hashOf("script") + "'; style-src 'sha256-" +
		hashOf("style") + "'; base-uri 'none'; form-action 'none'");
	assert.equal(source.match(/<script/g).length, 2);
	assert.equal(source.match(/https?:|@import|src=(?!x)|href=/g), null);
	assert.equal(await page.evaluate(() => performance.getEntriesByType("resource").length), 0);
});

test("an empty profile says why", "empty", async (page) => {
	assert.match(await text(page, "#glance"), /No function has samples of cpu-clock/);
	assert.match(await text(page, "#chart .note"), /Nothing to draw: cpu-clock has no samples/);
	for (const view of ["i", "s", "t", "l", "g"])
		await key(page, view);
	assert.match(await text(page, "#view-ledger"), /ended before its first period was over/);
});

test("a deep stack starts at its root and can be climbed", "deep", async (page) => {
	await hover(page, 0, 0.5);
	assert.equal((await hovered(page)).name, "all");
	await page.locator("#chart").focus();
	for (let i = 0; i < 60; i++)
		await key(page, "ArrowUp");
	assert.ok(await page.evaluate(() => {
		const mark = document.querySelector(".focus").getBoundingClientRect();
		const chart = document.querySelector("#chart").getBoundingClientRect();
		return mark.top >= chart.top && mark.bottom <= chart.bottom;
	}));
});

test("105,000 functions and four counters take less than 4 MB", "wide", async (page) => {
	assert.ok(pages.wide.size < 4e6, String(pages.wide.size));
	assert.ok(await page.evaluate("model.base.n") >= 105000);
	await key(page, "/");
	await page.keyboard.type("handle_77");
	assert.match(await text(page, "#found"), /^1,1\d\d of 105,0\d\d frames/);
});

test("a file that was cut off says so", "normal", async (page) => {
	await page.evaluate(() => unpack(document.getElementById("data").textContent.slice(0, 400))
		.then(() => {}, (err) => { document.title = "refused: " + err.message; }));
	await page.waitForFunction(() => document.title.startsWith("refused: "));
});

testPage("without scripts the numbers are there", pages.counters.url, async (page) => {
	const shown = await page.locator("body").innerText();
	assert.match(shown, /calculate_atr/);
	assert.ok(shown.includes(percent(costs(trees[0]).calculate_atr.self, trees[0].value)));
	for (const name of COUNTERS)
		assert.ok(shown.includes(name));
}, { javaScriptEnabled: false });

await runAll();
