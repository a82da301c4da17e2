// The flame graph's picture. render_svg.c has drawn everything once; from the data behind the picture
// this draws again what a view needs: a zoom costs what it shows, not what the file holds. There is one
// path per colour and no element per frame: the frame under the pointer is found by arithmetic. Names
// come from the profiled program and are hostile: they only ever become textContent.
const SVG_NS = "http://www.w3.org/2000/svg";
const HTML_NS = "http://www.w3.org/1999/xhtml";
// As in render_svg.c.
const PAD = 10, ROW = 18, STATUS = 30, FOOT_LINE = 16;
const NARROW = 860, TOOLBAR = 34, TOOLBAR_WIDTH = 600, LEGEND_ROW = 18;
// Narrower frames are not drawn again; so is what falls into a pixel that its row has filled already.
const THINNEST = 0.15, FILLED = 0.3;
const FUNC_FIELDS = 7;
const KINDS = ["", "process", "kernel", "native", "inlined", "Python", "JIT", "", "thread"];

const svg = document.currentScript.closest("svg");
const part = (id) => svg.querySelector("#pmf-" + id);
const data = JSON.parse(part("data").textContent);
const event = data.events[0];
const n = data.func.length;
if (n === 0)
	return;

function make(parent, tag, attrs, text) {
	const el = document.createElementNS(parent.namespaceURI === HTML_NS ? HTML_NS : SVG_NS, tag);
	set(el, attrs || {});
	if (text !== undefined)
		el.textContent = text;
	return parent.appendChild(el);
}

function set(el, attrs) {
	for (const key of Object.keys(attrs))
		el.setAttribute(key, attrs[key]);
}

function makeHtml(parent, className) {
	const fo = make(parent, "foreignObject", {width: 1, height: 1});
	const div = fo.appendChild(document.createElementNS(HTML_NS, "div"));
	div.className = "ui " + className;
	return div;
}

// ---- The tree: columns in preorder ----

const depth = data.depth, total = event.total, self = event.self;
const parent = new Int32Array(n), end = new Int32Array(n), start = new Float64Array(n);
const rows = [];

function buildTree() {
	const last = [], next = new Float64Array(n);
	for (let i = 0; i < n; i++) {
		const d = depth[i], up = d ? last[d - 1] : -1;
		last[d] = i;
		parent[i] = up;
		end[i] = i + 1;
		if (up >= 0) {
			start[i] = next[up];
			next[up] += total[i];
		}
		next[i] = start[i];
		(rows[d] = rows[d] || []).push(i);
	}
	for (let i = n - 1; i > 0; i--)
		end[parent[i]] = Math.max(end[parent[i]], end[i]);
}

const field = (i, k) => data.funcs[data.func[i] * FUNC_FIELDS + k];
const string = (i, k) => data.strings[field(i, k)];
// Samples that have frame i from an earlier stack. Processes, threads, and all, are no frames of one.
const isOfStack = (i) => !["", "process", "thread"].includes(KINDS[field(i, 1)]);
const joinedOf = (i) => event.joined && isOfStack(i) ? event.joined[i] : 0;
const colourOf = (i) => data.diff ? data.diff.colour[i] : field(i, 5);
const nameOf = (i) => string(i, 0) || "[unknown]";
// By function: what is drawn where that is not the name alone. It is short, or tells two of one name apart.
const labelIds = new Map();
for (let k = 0; k < data.labels.length; k += 2)
	labelIds.set(data.labels[k], data.labels[k + 1]);
const labelOf = (i) => labelIds.has(data.func[i]) ? data.strings[labelIds.get(data.func[i])] : nameOf(i);
const sourceOf = (i) => string(i, 4) + (field(i, 6) ? ":" + field(i, 6) : "");

function widestChild(i) {
	let best = -1;
	for (let c = i + 1; c < end[i]; c = end[c])
		if (best < 0 || total[c] > total[best])
			best = c;
	return best;
}

// ---- The view ----

const frames = part("frames"), labels = part("labels"), head = part("head"), foot = part("foot");
const legend = part("legend"), headPage = head.querySelector(".page");
const title = head.querySelector(".ti"), subtitle = head.querySelector(".su");
const paths = Array.from(frames.children);
const faded = make(svg, "g", {class: "faded"});
svg.insertBefore(faded, frames);
const matchPath = make(frames, "path", {class: "match"});
const hoverRect = make(svg, "rect", {class: "hover", visibility: "hidden"});
const focusRect = make(svg, "rect", {class: "focus", visibility: "hidden"});
const status = make(svg, "text", {class: "st", x: PAD, role: "status", "aria-live": "polite"});
svg.insertBefore(head, null);

const view = {
	zoom: 0, focus: 0, showFocus: false, hover: -1, icicle: false,
	pattern: "", matches: null,
	width: 0, headHeight: 78, deepest: 0, em: 7.3, footEm: 6.7,
};

const chartWidth = () => view.width - 2 * PAD;
const chartTop = () => view.headHeight;
const chartBottom = () => chartTop() + (view.deepest + 1) * ROW;
const pxPerWeight = () => chartWidth() / total[view.zoom];
const isAncestor = (i) => i < view.zoom && end[i] > view.zoom;
const top = (i) => chartTop() + (view.icicle ? depth[i] : view.deepest - depth[i]) * ROW;

// Where frame i stands now; callers of the zoomed frame take the whole width.
function box(i) {
	if (isAncestor(i) || i === view.zoom)
		return {x: PAD, width: chartWidth()};
	const k = pxPerWeight();
	return {x: PAD + (start[i] - start[view.zoom]) * k, width: total[i] * k};
}

const px = (x) => Math.round(x * 10) / 10;

function rectPath(x, y, width) {
	const w = px(width > 2 ? width - 0.5 : width);
	return "M" + px(x) + " " + y + "h" + w + "v" + (ROW - 1) + "h-" + w + "z";
}

// Calls visit(i, x, width) for the frames to draw: the callers of the zoomed frame, itself, and what
// it holds, without what is too narrow to see.
function eachVisible(visit) {
	const k = pxPerWeight(), origin = start[view.zoom], right = [];
	for (let i = parent[view.zoom]; i >= 0; i = parent[i])
		visit(i, PAD, chartWidth(), true);
	for (let i = view.zoom; i < end[view.zoom];) {
		const width = total[i] * k, x = PAD + (start[i] - origin) * k;
		if (width < THINNEST) {
			i = end[i];
			continue;
		}
		if (!(x + width - right[depth[i]] < FILLED)) {
			visit(i, x, width, false);
			right[depth[i]] = x + width;
		}
		i++;
	}
}

function draw() {
	const main = paths.map(() => []), callers = paths.map(() => []), matched = [], texts = [];
	eachVisible((i, x, width, isCaller) => {
		const y = top(i);
		const hit = view.matches !== null && view.matches[data.func[i]] === 1;
		const list = hit ? matched : (isCaller ? callers : main)[colourOf(i)];
		list.push(rectPath(x, y, width));
		const label = shorten(labelOf(i), Math.floor((width - 6) / view.em));
		if (label)
			texts.push([x + 3, y + 12.5, label, hit ? "hit" : ""]);
	});
	paths.forEach((path, c) => path.setAttribute("d", main[c].join("")));
	matchPath.setAttribute("d", matched.join(""));
	faded.textContent = "";
	callers.forEach((list, c) => {
		if (list.length)
			make(faded, "path", {class: paths[c].getAttribute("class"), d: list.join("")});
	});
	for (const group of [frames, faded])
		group.classList.toggle("dim", view.matches !== null);
	drawLabels(texts);
	drawMarks();
	updateButtons();
}

function drawLabels(texts) {
	while (labels.childElementCount > texts.length)
		labels.lastElementChild.remove();
	for (let el = labels.firstElementChild, k = 0; k < texts.length; k++) {
		const t = el || make(labels, "text");
		el = t.nextElementSibling;
		set(t, {x: px(texts[k][0]), y: texts[k][1], class: texts[k][3]});
		if (t.textContent !== texts[k][2])
			t.textContent = texts[k][2];
	}
}

function mark(rect, i) {
	if (i < 0 || !(i === view.zoom || isAncestor(i) || (i > view.zoom && i < end[view.zoom]))) {
		rect.setAttribute("visibility", "hidden");
		return;
	}
	const b = box(i);
	set(rect, {x: px(b.x), y: top(i), width: Math.max(px(b.width - 0.5), 1.5), height: ROW - 1,
		visibility: "visible"});
}

function drawMarks() {
	mark(hoverRect, view.hover);
	mark(focusRect, view.showFocus ? view.focus : -1);
	const i = view.hover >= 0 ? view.hover : view.focus;
	const facts = " \u00b7 " + formatWeight(event, total[i]) +
		(event.unit === "ns" ? "" : " " + event.label) + " \u00b7 " +
		percent(total[i], total[0]) + errorOf(total[i] / total[0], event.effective) +
		" \u00b7 self " + percent(self[i], total[0]);
	const room = Math.floor(chartWidth() / view.em);
	const name = cut(labelOf(i), Math.max(room - facts.length, 12));
	const text = cut(name + facts, room);
	if (status.textContent !== text)
		status.textContent = text;
	status.setAttribute("y", chartBottom() + 18);
}

// ---- Layout ----

function measure(className) {
	const probe = make(className ? foot : labels, "text", {class: className, visibility: "hidden"},
		"0".repeat(100));
	const width = probe.getComputedTextLength() / 100;
	probe.remove();
	return width;
}

function wrap(line, room) {
	const out = [];
	let rest = Array.from(line);
	while (rest.length > room) {
		const space = rest.lastIndexOf(" ", room);
		const at = space > 0 ? space : room;
		out.push(rest.slice(0, at).join(""));
		rest = rest.slice(space > 0 ? at + 1 : at);
	}
	out.push(rest.join(""));
	return out;
}

function layOutLegend(y) {
	let x = PAD, row = 0;
	for (const swatch of legend.querySelectorAll("rect")) {
		const text = swatch.nextElementSibling, width = 30 + text.getComputedTextLength();
		if (x > PAD && x + width > view.width) {
			x = PAD;
			row++;
		}
		set(swatch, {x: x, y: y + row * LEGEND_ROW});
		set(text, {x: x + 16, y: y + row * LEGEND_ROW + 9});
		x += width;
	}
	return y + row * LEGEND_ROW + 21;
}

function layOutHead() {
	const narrow = view.width < NARROW, barWidth = narrow ? chartWidth() : TOOLBAR_WIDTH;
	const titleRoom = (chartWidth() - (narrow ? 0 : barWidth + 20)) / 10.5;
	title.textContent = cut(data.title, Math.max(Math.floor(titleRoom), 8));
	subtitle.textContent = cut(data.ledger[0], Math.floor(chartWidth() / 6.6));
	set(toolbar.parentNode,
		{x: view.width - PAD - barWidth, y: narrow ? 54 : 4, width: barWidth, height: 30});
	toolbar.classList.toggle("left", narrow);
	view.headHeight = layOutLegend(57 + (narrow ? TOOLBAR : 0));
	headPage.setAttribute("height", view.headHeight - 4);
}

function layOutFoot() {
	const room = Math.floor((chartWidth() - 16) / view.footEm);
	let y = chartBottom() + STATUS + 12;
	foot.textContent = "";
	for (const line of data.ledger) {
		wrap(line, room).forEach((text, k) => {
			make(foot, "text", {class: "fo", x: PAD + (k ? 16 : 0), y: y}, text);
			y += FOOT_LINE;
		});
	}
	return y - 12 + PAD;
}

function layOut() {
	const width = Math.max(Math.floor(svg.getBoundingClientRect().width), 240);
	view.width = width;
	layOutHead();
	const height = layOutFoot();
	set(svg, {height: height, viewBox: "0 0 " + width + " " + height});
	draw();
	followScroll();
}

// The head stays in sight in a picture taller than the window.
function followScroll() {
	const y = Math.max(0, -svg.getBoundingClientRect().top);
	head.setAttribute("transform", "translate(0," + y + ")");
	helpBox.parentNode.setAttribute("y", y + view.headHeight + 10);
}

// A browser that is started for a screenshot takes it soon after the page is loaded, the later the
// bigger the picture, and from the page's top: nothing is painted there if the page has scrolled.
function showRootSoon() {
	setTimeout(showRoot, Math.min(Math.max(200, performance.now()), 1000));
}

// A picture taller than the window is shown from its root on, unless someone has scrolled already.
function showRoot() {
	const hidden = chartBottom() + STATUS - window.innerHeight;
	if (window.scrollY === 0 && hidden > 0)
		window.scrollTo(0, hidden);
}

function scrollTo(i) {
	const offset = svg.getBoundingClientRect().top, y = offset + top(i);
	if (y < view.headHeight)
		window.scrollBy(0, y - view.headHeight - ROW);
	else if (y + 2 * ROW > window.innerHeight)
		window.scrollBy(0, y + 3 * ROW - window.innerHeight);
}

// ---- The pointer ----

function frameAt(e) {
	const rect = svg.getBoundingClientRect();
	const x = e.clientX - rect.left, y = e.clientY - rect.top;
	const headBottom = Math.max(rect.top, 0) + view.headHeight;
	if (toolbar.contains(e.target) || helpBox.contains(e.target) || e.clientY < headBottom)
		return -1;
	const line = Math.floor((y - chartTop()) / ROW), d = view.icicle ? line : view.deepest - line;
	if (d < 0 || d > view.deepest || x < PAD || x > PAD + chartWidth())
		return -1;
	if (d <= depth[view.zoom]) {
		let i = view.zoom;
		while (depth[i] > d)
			i = parent[i];
		return i;
	}
	const weight = start[view.zoom] + (x - PAD) / pxPerWeight(), row = rows[d];
	let low = 0, high = row.length;
	while (low < high) {
		const mid = (low + high) >> 1;
		if (start[row[mid]] <= weight)
			low = mid + 1;
		else
			high = mid;
	}
	const i = low ? row[low - 1] : -1;
	return i > view.zoom && i < end[view.zoom] && weight <= start[i] + total[i] ? i : -1;
}

function onMove(e) {
	const i = frameAt(e);
	svg.classList.toggle("chart", i >= 0);
	if (i !== view.hover) {
		view.hover = i;
		drawMarks();
		if (i >= 0)
			fillTip(i);
		else
			hideTip();
	}
	if (i >= 0)
		placeTip(e);
}

function onClick(e) {
	const i = frameAt(e);
	if (i < 0)
		return;
	view.focus = i;
	view.showFocus = false;
	svg.focus({preventScroll: true});
	zoomTo(i);
}

function hideTip() {
	tip.hidden = true;
}

function tipRow(table, cells) {
	const tr = make(table, "tr");
	cells.forEach((text) => make(tr, "td", {}, text));
}

// What became of frame i between two runs; both costs are in the new one's events.
function addChange(table, i) {
	const diff = data.diff, now = data.events[diff.now].total[i];
	const before = data.events[diff.before].total[i] * diff.scale, change = now - before;
	const sign = change < 0 ? "-" : "+";
	const relative = before > 0 && now > 0 ?
		sign + (100 * Math.abs(change) / before).toFixed(1) + "%" : now > 0 ? "new" : "gone";
	tipRow(table, ["change", sign + formatWeight(event, Math.abs(change)),
		relative + " \u00b1 " + formatWeight(event, diff.error[i])]);
	if (!diff.real[i])
		make(tip, "i", {}, "the samples do not support this change");
}

function fillTip(i) {
	tip.textContent = "";
	make(tip, "b", {}, labelOf(i));
	if (labelOf(i) !== nameOf(i))
		make(tip, "i", {}, nameOf(i));
	const where = [KINDS[field(i, 1)], string(i, 3) || string(i, 2), sourceOf(i)];
	make(tip, "i", {}, where.filter((s) => s).join(" \u00b7 "));
	const table = make(tip, "table");
	const samples = event.samples;
	tipRow(table, [event.label, formatWeight(event, total[i]),
		percent(total[i], total[0]) + errorOf(total[i] / total[0], event.effective)]);
	if (view.zoom)
		tipRow(table, ["of the zoomed frame", "", percent(total[i], total[view.zoom])]);
	tipRow(table, ["self", formatWeight(event, self[i]), percent(self[i], total[0])]);
	tipRow(table, ["samples", formatCount(samples[i]), percent(samples[i], samples[0])]);
	if (data.diff)
		addChange(table, i);
	const joined = joinedOf(i);
	if (joined)
		tipRow(table, ["joined", formatCount(joined), percent(joined, samples[0])]);
	for (const other of data.events.slice(1))
		tipRow(table, [other.label, formatWeight(other, other.total[i]),
			percent(other.total[i], other.total[0]) +
			errorOf(other.total[i] / other.total[0], other.effective)]);
	if (joined)
		make(tip, "i", {}, (joined < samples[i] ? "in part " : "") +
			"joined to an earlier stack of the thread");
	tip.hidden = false;
}

function placeTip(e) {
	const rect = svg.getBoundingClientRect(), size = tip.getBoundingClientRect();
	const below = e.clientY + 18 + size.height < window.innerHeight;
	const x = Math.min(e.clientX + 14, window.innerWidth - size.width - 8);
	const y = below ? e.clientY + 18 : Math.max(e.clientY - size.height - 12, 4);
	set(tip.parentNode, {x: Math.max(x, 4) - rect.left, y: y - rect.top});
}

// ---- The controls ----

function makeButton(text, hint, action) {
	const button = make(toolbar, "button", {type: "button", title: hint}, text);
	button.addEventListener("click", () => {
		action();
		svg.focus({preventScroll: true});
	});
	return button;
}

function updateButtons() {
	resetButton.disabled = view.zoom === 0 && view.pattern === "";
	flipButton.textContent = view.icicle ? "Flame" : "Icicle";
}

const toolbar = makeHtml(head, "bar");
const output = make(toolbar, "output", {"aria-live": "polite"});
const input = make(toolbar, "input", {type: "search", placeholder: "Search (regexp)",
	"aria-label": "Search by regular expression", spellcheck: "false"});
const resetButton = makeButton("Reset", "Zoom out and clear the search (Esc)", resetAll);
const flipButton = makeButton("Icicle", "Callers below or above (i)", flip);
makeButton("?", "Keys (?)", () => toggleHelp());

const helpBox = makeHtml(svg, "help");
const helpList = make(helpBox, "dl");
[["click, Enter", "zoom to the frame"], ["Esc", "zoom out and clear the search"],
	["Backspace", "zoom out by one frame"], ["/, Ctrl-F", "search names by regular expression"],
	["@...", "in the search: look at modules and files"], ["n, N", "next, previous match"],
	["arrows", "move between frames"], ["Home", "back to the zoomed frame"],
	["i", "flame or icicle"], ["c", "copy the frame's name"], ["?", "this help"]].forEach((row) => {
	make(helpList, "dt", {}, row[0]);
	make(helpList, "dd", {}, row[1]);
});
helpBox.hidden = true;
helpBox.parentNode.setAttribute("width", "100%");

const tip = makeHtml(svg, "tip");
tip.hidden = true;
set(tip.parentNode, {"pointer-events": "none"});

// ---- Start ----

buildTree();
view.deepest = rows.length - 1;
svg.classList.add("live");
set(svg, {width: "100%", tabindex: "0", role: "application", "aria-roledescription": "flame graph"});
view.em = measure("") || view.em;
view.footEm = measure("fo") || view.footEm;
input.addEventListener("input", () => search(input.value));
document.addEventListener("keydown", onKey);
svg.addEventListener("mousemove", onMove);
svg.addEventListener("mouseleave", () => {
	view.hover = -1;
	hideTip();
	drawMarks();
});
svg.addEventListener("click", onClick);
window.addEventListener("resize", layOut);
window.addEventListener("scroll", followScroll, {passive: true});
layOut();
if (svg === document.documentElement)
	window.addEventListener("load", showRootSoon);
