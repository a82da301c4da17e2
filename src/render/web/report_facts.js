// What is said about a function: the sentence at the top, the tooltip, the panel beside the graph.

const part = (id) => document.getElementById(id);

function button(parent, text, hint, action) {
	const el = make(parent, "button", "", text);
	el.type = "button";
	el.title = hint;
	el.addEventListener("click", action);
	return el;
}

function tableRow(table, cells, tag) {
	const tr = make(table, "tr");
	cells.forEach((text, k) => make(tr, k ? tag || "td" : "th", "", text).setAttribute("scope", k ? "col" : "row"));
	return tr;
}

function addVerdict(el, func) {
	const found = memoryVerdict(func);
	make(el, "b", "", found.verdict || "");
	el.append(found.text);
}

// What was counted, but is in no function: "[unsampled]" and the like.
function unattributed(event) {
	let sum = 0;
	for (let f = 0; f < model.funcCount; f++)
		if (kindOf(f) === KIND.SPECIAL)
			sum += model.costs.self[event][f];
	return sum;
}

function nameButton(parent, func, text, select) {
	button(parent, cut(text, 80), "Select it", () => select(func)).className = "name";
}

function addNativeHeadline(glance, event, func, select) {
	const cost = model.events[event].inKernel ? model.costs.user[event] : model.costs.self[event];
	glance.append("The largest share of " + model.events[event].label + " in one function's own code is in ");
	nameButton(glance, func, labelOf(func), select);
	glance.append(": " + shareText(event, cost[func]) + shareError(event, cost[func]) + ", " +
		shareText(event, model.costs.total[event][func]) + " with what it calls. ");
	addVerdict(glance, func);
	glance.append(" ");
}

const PATH_SHOWN = 5;

// Where a Python program spends it: the function whose code and whose calls into native code have the most,
// and the way of calls that leads to most of it, which names the line to change more often.
function addPythonHeadline(glance, event, {python, path}, select) {
	const line = /:(\d+)\)$/.exec(nameOf(python.line));
	glance.append("The largest share of " + model.events[event].label + " in one Python function is in ");
	nameButton(glance, python.line, python.name, select);
	glance.append(": " + shareText(event, python.weight) + shareError(event, python.weight) +
		" with the native code that it calls" +
		(line ? ", of which line " + line[1] + " has " + shareText(event, python.lineWeight) : "") + ". ");
	if (path.length === 0)
		return;
	glance.append("The widest Python calls: " + (path.length > PATH_SHOWN ? "\u2026 \u203a " : ""));
	path.slice(-PATH_SHOWN).forEach(({func, weight}, k) => {
		if (k)
			glance.append(" \u203a ");
		nameButton(glance, func, labelOf(func), select);
		glance.append(" " + shareText(event, weight));
	});
	glance.append(". ");
}

// Which function has the most, and what the counters say about it.
function fillGlance(glance, event, select) {
	const found = highlights(event), label = model.events[event].label;
	glance.textContent = "";
	if (found.func < 0) {
		glance.textContent = "No function has samples of " + label + ": the ledger says why.";
		return;
	}
	if (found.mostlyPython)
		addPythonHeadline(glance, event, found, select);
	addNativeHeadline(glance, event, found.func, select);
	if (found.python && !found.mostlyPython)
		addPythonHeadline(glance, event, found, select);
	const rest = unattributed(event);
	if (rest > 0.05 * model.base.total[event][0])
		make(glance, "span", "warning", " " + shareText(event, rest) + " of " + label +
			" has no function: the hatched frames say why, the ledger what to change.");
}

function fillTip(tip, chart, i) {
	const tree = chart.tree, func = tree.func[i], event = chart.event;
	tip.textContent = "";
	make(tip, "b", "", labelOf(func));
	if (labelOf(func) !== nameOf(func))
		make(tip, "i", "", nameOf(func));
	make(tip, "i", "", placeOf(func));
	const table = make(tip, "table");
	tableRow(table, ["", "count", "share", "self", "samples"], "th");
	model.events.forEach((ev, e) => {
		const row = tableRow(table, [ev.label, weightText(e, tree.total[e][i]),
			shareText(e, tree.total[e][i]) + shareError(e, tree.total[e][i]),
			shareText(e, tree.self[e][i]), formatCount(tree.samples[e][i])]);
		row.className = e === event ? "current" : "";
	});
	if (chart.zoom)
		make(tip, "i", "", percent(tree.total[event][i], tree.total[event][chart.zoom]) + " of the zoomed frame");
	if (chart.ratio)
		make(tip, "i", "", chart.ratio.name + ": " + ratioText(nodeRatio(chart.ratio, tree, i)));
	const joined = tree.joined[event] && isCode(func) ? tree.joined[event][i] : 0;
	if (joined)
		make(tip, "i", "", formatCount(joined) + " of its samples have it from an earlier stack of the thread");
	tip.hidden = false;
}

function placeTip(tip, e) {
	const size = tip.getBoundingClientRect();
	const below = e.clientY + 18 + size.height < window.innerHeight;
	tip.style.left = Math.max(Math.min(e.clientX + 14, window.innerWidth - size.width - 8), 4) + "px";
	tip.style.top = (below ? e.clientY + 18 : Math.max(e.clientY - size.height - 12, 4)) + "px";
}

// The panel: every counter's self and total of a function, its ratios beside the whole program's.
function fillDetails(panel, func, on) {
	panel.textContent = "";
	make(panel, "h2", "", labelOf(func));
	if (labelOf(func) !== nameOf(func))
		make(panel, "p", "place", nameOf(func));
	make(panel, "p", "place", placeOf(func));
	const actions = make(panel, "p", "actions");
	button(actions, "Callers and callees", "Sandwich of this function (s)", on.sandwich);
	button(actions, "Lines", "Its source lines (l)", on.lines);
	button(actions, "Copy name", "Copy the name (c)", on.copyName);
	button(actions, "Copy stack", "Copy the stack of the frame in focus (C)", on.copyStack);
	const table = make(panel, "table", "counters");
	tableRow(make(table, "thead"), ["counter", "self", "total", "count", "samples"], "th");
	const body = make(table, "tbody");
	model.events.forEach((ev, e) => {
		const self = model.costs.self[e][func], total = model.costs.total[e][func];
		tableRow(body, [ev.label, shareText(e, self) + shareError(e, self), shareText(e, total),
			shortWeight(e, total), formatCount(model.costs.samples[e][func])]).title = weightText(e, total) + unitText(e);
	});
	if (kindOf(func) === KIND.PYTHON)
		make(panel, "p", "python", "With the native code that it calls, up to the next Python frame: " +
			model.events.flatMap((ev, e) => model.base.total[e][0] ?
				[shareText(e, model.costs.python[e][func]) + " of " + ev.label] : []).join(", ") + ".");
	fillRatios(panel, func);
	if (isCode(func))
		addVerdict(make(panel, "p", "verdict"), func);
}

function fillRatios(panel, func) {
	const ratios = allRatios().named;
	if (ratios.length === 0)
		return;
	const table = make(panel, "table", "ratios");
	tableRow(make(table, "thead"), ["ratio", "self", "total", "whole program"], "th");
	const body = make(table, "tbody");
	for (const r of ratios)
		tableRow(body, [r.name, ratioText(selfRatio(r, func)), ratioText(totalRatio(r, func)),
			shortNumber(overallOf(r))]);
}

const LEGEND = [[KIND.NATIVE, "native"], [KIND.INLINED, "inlined"], [KIND.PYTHON, "Python"], [KIND.JIT, "JIT"],
	[KIND.KERNEL, "kernel"], [KIND.SPECIAL, "not attributed"]];

function legendItem(legend, colour, text) {
	const item = make(legend, "span", "item"), swatch = make(item, "span", "swatch");
	if (colour)
		swatch.style.background = colour;
	else
		swatch.classList.add("hatched");
	item.append(text);
}

function fillLegend(legend, r) {
	const theme = isDark() ? "dark" : "light";
	legend.textContent = "";
	if (!r) {
		for (const [kind, text] of LEGEND) {
			const func = model.firstOfKind[kind];
			if (func >= 0)
				legendItem(legend, kind === KIND.SPECIAL ? "" : model[theme][field(func, 5)], text);
		}
		return;
	}
	const overall = overallOf(r);
	make(legend, "b", "", r.name);
	BIN_COLOURS[theme].forEach((colour, k) => {
		const low = k ? shortNumber(BIN_EDGES[k - 1] * overall) : "";
		const high = k < BIN_EDGES.length ? shortNumber(BIN_EDGES[k] * overall) : "";
		legendItem(legend, colour, low && high ? low + "\u2013" + high : low ? "\u2265 " + low : "< " + high);
	});
	legendItem(legend, "", "fewer than " + FEW + " samples");
	make(legend, "span", "item", "whole program: " + shortNumber(overall));
}

// The run, how each counter was counted, and what to know about it.
function fillLedger(section) {
	section.textContent = "";
	const facts = make(section, "dl", "run");
	const started = model.startMs ? new Date(model.startMs).toISOString().replace(/\.\d+Z$/, " UTC").replace("T", " ") : "";
	for (const [key, value] of [["command", model.command], ["recorded", model.watched], ["machine", model.host], ["started", started],
		["took", model.durationNs ? formatTime(model.durationNs) : ""]]) {
		if (value) {
			make(facts, "dt", "", key);
			make(facts, "dd", "", value);
		}
	}
	for (const ev of model.events) {
		make(section, "h2", "", ev.label);
		const list = make(section, "ul");
		ev.ledger.forEach((line) => make(list, "li", "", line));
	}
}

const HELP = [["1 \u2026 9", "another counter: widths and shares are of it"], ["click, Enter", "zoom to the frame and select its function"],
	["Backspace", "zoom out by one frame"], ["Esc", "zoom out and clear the search"], ["arrows, Home", "move between frames"],
	["f i s t l g", "flame, icicle, sandwich, table, lines, ledger"], ["/, Ctrl-F", "search names; @ first looks at modules and files"],
	["n, N", "next, previous match"], ["r", "next colouring"], ["c, C", "copy the name, the stack"], ["?", "this help"]];

function fillHelp(help) {
	const close = button(help, "Close", "Close (Esc)", () => help.close());
	make(help, "h2", "", "Reading it");
	make(help, "p", "", "The width of a frame is its share of the counter whose tab is chosen. What it calls stands on it. " +
		"The same stacks can be seen through every counter: a frame that widens when the counter changes has more of that one. " +
		"Coloured by a ratio, blue frames have less of it than the whole program and orange ones more; " +
		"hatched ones have too few samples to tell. The \u00b1 of a share or ratio is its 95 % confidence.");
	make(help, "h2", "", "Keys");
	const list = make(help, "dl");
	for (const [key, what] of HELP) {
		make(list, "dt", "", key);
		make(list, "dd", "", what);
	}
	help.append(close);
}
