// The page: its controls, its keys, and what each view is given to draw.

const app = {matches: null, charts: {}, table: null};
const matchesOf = (pattern) => {
	const source = pattern.replace(/^@/, "");
	if (!source)
		return null;
	const re = new RegExp(source, /[A-Z]/.test(source) ? "" : "i");
	const fields = pattern[0] === "@" ? [2, 3, 4] : [0], out = new Uint8Array(model.funcCount);
	const tested = new Map();
	const test = (id) => {
		if (!tested.has(id))
			tested.set(id, re.test(model.strings[id]));
		return tested.get(id);
	};
	for (let f = 0; f < model.funcCount; f++)
		out[f] = fields.some((k) => test(field(f, k))) ||
			(fields[0] === 0 && model.labelIds.has(f) && test(model.labelIds.get(f))) ? 1 : 0;
	return out;
};

// By event, the weight of the nodes that match or stand on one that does; and how many nodes match.
function matchedWeights(tree, matches) {
	const weights = model.events.map(() => 0);
	let count = 0, until = 0;
	for (let i = 0; i < tree.n; i++) {
		if (!matches[tree.func[i]])
			continue;
		count++;
		if (i < until)
			continue;
		until = tree.end[i];
		weights.forEach((_, e) => {
			weights[e] += tree.total[e][i];
		});
	}
	return {weights, count};
}

// ---- Controls ----

function setEvent(event) {
	if (event < 0 || event >= model.events.length || event === state.event)
		return;
	state.event = event;
	refresh();
}

function setView(view) {
	if (view === "sandwich")
		state.centre = state.selected;
	state.view = view;
	refresh(true);
}

function setSearch(pattern) {
	state.search = pattern;
	refresh();
}

function zoomTo(i) {
	state.zoom = i;
	state.selected = currentTree().func[i];
	refresh(true);
}

function select(func) {
	if (func !== state.selected) {
		state.selected = func;
		refresh();
	}
}

function resetAll() {
	Object.assign(state, {zoom: 0, search: ""});
	part("search").value = "";
	refresh(true);
}

// The zoomed frame stays, as far as the other tree has it.
function setMerge(key, value) {
	const before = currentTree(), path = before.path(state.zoom);
	state[key] = value;
	const after = currentTree(), kinds = new Set(after.func);
	state.zoom = after.find(path.filter((f, k) => k === 0 || kinds.has(f)));
	refresh();
}

function setRatio(id) {
	state.ratio = ratioById(id);
	refresh();
}

function nextRatio() {
	const options = [...part("colour").options].map((o) => o.value);
	setRatio(options[(options.indexOf(state.ratio ? state.ratio.id : "kind") + 1) % options.length]);
}

function say(text) {
	part("status").textContent = text;
}

function copy(text, what) {
	const done = () => say("copied the " + what), failed = () => say("this browser does not let a page copy: " + text);
	if (navigator.clipboard)
		navigator.clipboard.writeText(text).then(done, failed);
	else
		failed();
}

const copyName = () => copy(nameOf(state.selected), "name");

function copyStack() {
	const chart = app.charts.main, frame = chart.hover >= 0 ? chart.hover : chart.focus;
	copy(chart.tree.path(frame).slice(1).map(nameOf).join(";"), "stack");
}

function makeTabs() {
	model.events.forEach((ev, e) => {
		const total = model.base.total[e][0];
		const tab = button(part("tabs"), "", weightText(e, total) + unitText(e) + " (key " + (e + 1) + ")",
			() => setEvent(e));
		tab.setAttribute("role", "tab");
		make(tab, "b", "", ev.label);
		make(tab, "span", "count", shortWeight(e, total));
		make(tab, "span", "matched");
	});
	part("tabs").addEventListener("keydown", (e) => {
		const step = {ArrowLeft: -1, ArrowRight: 1}[e.key];
		if (step && model.events[state.event + step]) {
			setEvent(state.event + step);
			part("tabs").children[state.event].focus();
			e.preventDefault();
		}
	});
}

function makeBar() {
	for (const [id, text, key] of VIEWS)
		button(part("views"), text, "Key " + key, () => setView(id)).dataset.view = id;
	const {named, others} = allRatios(), colour = part("colour");
	make(colour, "option", "", "kind and module").value = "kind";
	for (const r of named)
		make(colour, "option", "", r.name).value = r.id;
	if (others.length) {
		const group = make(colour, "optgroup");
		group.label = "other ratios";
		for (const r of others)
			make(group, "option", "", r.name).value = r.id;
	}
	colour.addEventListener("change", () => setRatio(colour.value));
	for (const [key, kind] of [["processes", KIND.PROCESS], ["threads", KIND.THREAD]]) {
		part(key).hidden = model.countOfKind[kind] < 2;
		part(key).querySelector("select").addEventListener("change", (e) => setMerge(key, e.target.value));
	}
	part("search").addEventListener("input", (e) => setSearch(e.target.value));
	part("reset").addEventListener("click", resetAll);
	part("keys").addEventListener("click", () => part("help").showModal());
	fillHelp(part("help"));
}

function makeChart(section, id, on) {
	const host = make(section, "div");
	host.id = id;
	return new Chart(host, {
		select,
		hover: (i, e) => {
			if (i < 0)
				part("tip").hidden = true;
			else
				showTip(app.charts[id === "chart" ? "main" : id], i, e);
		},
		...on,
	});
}

function showTip(chart, i, e) {
	if (app.tipped !== i || part("tip").hidden)
		fillTip(part("tip"), chart, i);
	app.tipped = i;
	placeTip(part("tip"), e);
}

function makeViews() {
	const counter = () => model.events[state.event].label;
	app.charts.main = makeChart(part("view-flame"), "chart", {zoom: zoomTo,
		label: () => "Flame graph of " + counter() + ": arrow keys move, Enter zooms"});
	for (const [id, what] of [["callers", "Callers"], ["callees", "Callees"]]) {
		make(part("view-sandwich"), "h2", "").id = id + "-title";
		app.charts[id] = makeChart(part("view-sandwich"), id, {
			label: () => what + " of " + labelOf(state.centre) + " by " + counter(),
			zoom: (i) => {
				const chart = app.charts[id];
				part("tip").hidden = true;
				chart.set({zoom: i});
				select(chart.tree.func[i]);
			}});
	}
	app.table = new FunctionTable(part("view-table"), {select, sort: () => refresh()});
	fillLedger(part("view-ledger"));
}

// ---- Drawing what the state says ----

function drawTabs(tree) {
	const found = app.matches && matchedWeights(tree, app.matches);
	[...part("tabs").children].forEach((tab, e) => {
		tab.setAttribute("aria-selected", e === state.event);
		tab.tabIndex = e === state.event ? 0 : -1;
		tab.querySelector(".matched").textContent = found ? shareText(e, found.weights[e]) + " found" : "";
	});
	part("found").textContent = app.trouble || (found ? formatCount(found.count) + " of " + formatCount(tree.n) +
		" frames, " + shareText(state.event, found.weights[state.event]) : "");
	part("search").classList.toggle("bad", Boolean(app.trouble));
	part("reset").disabled = state.zoom === 0 && state.search === "";
}

function drawBar() {
	for (const el of part("views").children)
		el.setAttribute("aria-pressed", el.dataset.view === state.view);
	part("colour").value = state.ratio ? state.ratio.id : "kind";
	for (const key of ["processes", "threads"])
		part(key).querySelector("select").value = state[key];
	if (part("search").value !== state.search)
		part("search").value = state.search;
}

function drawView(tree) {
	const {view, event, selected, ratio} = state, {matches} = app;
	const graph = view === "flame" || view === "icicle";
	for (const id of ["flame", "sandwich", "table", "lines", "ledger"])
		part("view-" + id).hidden = !(id === view || (id === "flame" && graph));
	part("legend").hidden = !graph && view !== "sandwich";
	fillLegend(part("legend"), ratio);
	if (graph)
		app.charts.main.set({tree, event, zoom: state.zoom, up: view === "flame", matches, selected, ratio});
	else if (view === "sandwich")
		drawSandwich(tree);
	else if (view === "table")
		app.table.draw(event, matches, selected);
	else if (view === "lines")
		fillLines(part("view-lines"), selected, event);
}

function drawSandwich(tree) {
	const {event, selected, ratio, centre} = state, {matches} = app, {callers, callees} = app.charts;
	const name = labelOf(centre);
	part("callers-title").textContent = "Who calls " + name + ": each frame's width is what it spends there";
	part("callees-title").textContent = "What " + name + " calls";
	if (app.centred !== centre || app.centredTree !== tree) {
		Object.assign(app, {centred: centre, centredTree: tree});
		callers.set({tree: callersOf(tree, centre), event, up: true, matches, selected, ratio});
		callees.set({tree: calleesOf(tree, centre), event, up: false, matches, selected, ratio});
		callers.scrollToRoot(); // it has given room to the callees
	}
	callers.set({event, matches, selected, ratio});
	callees.set({event, matches, selected, ratio});
}

// @step: the browser's Back leads to what was shown before.
function refresh(step) {
	const tree = currentTree();
	app.trouble = "";
	if (app.pattern !== state.search) {
		try {
			app.matches = matchesOf(state.search);
		} catch (err) {
			app.matches = null;
			app.trouble = "not a regular expression";
		}
		app.pattern = app.trouble ? null : state.search;
	}
	part("tip").hidden = true;
	drawTabs(tree);
	drawBar();
	fillGlance(part("glance"), state.event, select);
	drawView(tree);
	fillDetails(part("details"), state.selected,
		{sandwich: () => setView("sandwich"), lines: () => setView("lines"), copyName, copyStack});
	const hash = stateToHash();
	if (hash !== location.hash)
		history[step ? "pushState" : "replaceState"](null, "", hash);
}

// ---- Keys ----

function focusSearch() {
	part("search").focus();
	part("search").select();
}

function chartInView() {
	return state.view === "sandwich" ? app.charts.callees : app.charts.main;
}

const KEYS = {
	"/": focusSearch, "?": () => part("help").showModal(), Escape: resetAll, r: nextRatio, c: copyName, C: copyStack,
	n: () => chartInView().nextMatch(1), N: () => chartInView().nextMatch(-1),
	Backspace: () => zoomTo(Math.max(currentTree().parent[state.zoom], 0)),
};
for (const [id, , key] of VIEWS)
	KEYS[key] = () => setView(id);

function onSearchKey(e) {
	if (e.key === "Enter")
		chartInView().nextMatch(e.shiftKey ? -1 : 1);
	if (e.key === "Escape") {
		setSearch("");
		chartInView().host.focus();
		e.preventDefault();
	}
}

function onKey(e) {
	const search = document.activeElement === part("search");
	if ((e.ctrlKey || e.metaKey) && e.key === "f" && !search) {
		focusSearch(); // a second Ctrl-F is the browser's
		e.preventDefault();
	}
	if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || part("help").open)
		return;
	if (search) {
		onSearchKey(e);
	} else if (/^[1-9]$/.test(e.key)) {
		setEvent(Number(e.key) - 1);
	} else if (Object.hasOwn(KEYS, e.key) && !(e.target.localName === "select" && e.key.length === 1)) {
		KEYS[e.key]();
		e.preventDefault();
	} else if (/^Arrow|^Home$/.test(e.key) && e.target === document.body && !part("view-flame").hidden) {
		app.charts.main.host.focus();
		app.charts.main.onKey(e);
	}
}

// ---- Start ----

function start(data) {
	loadModel(data);
	loadLines(data);
	model.countOfKind = KIND_NAMES.map(() => 0);
	for (let f = 0; f < model.funcCount; f++)
		if (model.costs.total.some((column) => column[f] > 0))
			model.countOfKind[kindOf(f)]++;
	model.firstOfKind = KIND_NAMES.map((_, kind) => {
		for (let f = 0; f < model.funcCount; f++)
			if (kindOf(f) === kind)
				return f;
		return -1;
	});
	part("title").textContent = model.title;
	part("run").textContent = [model.command, model.watched, model.host].filter((s) => s).join(" \u00b7 ");
	part("app").hidden = false;
	stateFromHash(location.hash);
	makeTabs();
	makeBar();
	makeViews();
	document.addEventListener("keydown", onKey);
	window.addEventListener("popstate", () => {
		stateFromHash(location.hash);
		refresh();
	});
	darkMode.addEventListener("change", () => refresh());
	// Paper is laid out by a class: what is drawn by script must know its size before the browser prints.
	for (const [name, printing] of [["beforeprint", true], ["afterprint", false]])
		window.addEventListener(name, () => {
			document.documentElement.classList.toggle("printing", printing);
			refresh();
			Object.values(app.charts).forEach((chart) => chart.scrollToRoot());
		});
	refresh();
}

unpack(part("data").textContent).then(start).catch((err) => {
	part("trouble").textContent = "This report cannot be shown: " + err.message +
		". It needs a browser of 2023 or later, and the whole file.";
	part("trouble").hidden = false;
});
