// The tables: every function with all counters as columns, and the lines of one function.

const MORE = 200; // rows at a time

class FunctionTable {
	// on: {select(func), sort()}
	constructor(section, on) {
		this.section = section;
		this.on = on;
		this.sort = {key: "self", event: 0, ratio: "", down: true};
		this.event = 0;
		this.limit = MORE;
		this.box = make(section, "div", "scroll");
		this.box.tabIndex = 0;
		this.table = make(this.box, "table", "functions");
		this.head = make(make(this.table, "thead"), "tr");
		this.body = make(this.table, "tbody");
		this.foot = make(section, "p", "more");
	}

	columns() {
		const out = [{key: "name", text: "function"}, {key: "module", text: "module"}];
		model.events.forEach((ev, e) => {
			out.push({key: "self", event: e, text: ev.label + " self"}, {key: "total", event: e, text: "total"});
		});
		for (const r of allRatios().named)
			out.push({key: "ratio", ratio: r.id, of: r, text: r.name});
		return out;
	}

	valueOf(column) {
		switch (column.key) {
		case "name":
			return labelOf;
		case "module":
			return moduleOf;
		case "ratio":
			return (f) => {
				const found = selfRatio(column.of, f);
				return found.few ? -1 : found.value;
			};
		default:
			return (f) => model.costs[column.key][column.event][f];
		}
	}

	isSorted(column) {
		const s = this.sort;
		return column.key === s.key && (column.event === undefined || column.event === s.event) &&
			(column.ratio === undefined || column.ratio === s.ratio);
	}

	sortBy(column) {
		const down = this.isSorted(column) ? !this.sort.down : column.key !== "name" && column.key !== "module";
		this.sort = {key: column.key, event: column.event === undefined ? this.sort.event : column.event,
			ratio: column.ratio || "", down};
		this.limit = MORE;
		this.on.sort();
	}

	// The functions in order. Sorting a hundred thousand takes long enough to do it once.
	order(columns) {
		const key = JSON.stringify(this.sort);
		if (this.orderKey !== key) {
			const value = this.valueOf(columns.find((c) => this.isSorted(c))), way = this.sort.down ? -1 : 1;
			const funcs = [], keys = [];
			for (let f = 0; f < model.funcCount; f++) {
				if (isCode(f) || kindOf(f) === KIND.SPECIAL) {
					funcs.push(f);
					keys[f] = value(f);
				}
			}
			this.sorted = funcs.sort((a, b) => (keys[a] < keys[b] ? -way : keys[a] > keys[b] ? way : a - b));
			this.orderKey = key;
		}
		return this.sorted;
	}

	rows(columns, matches) {
		return this.order(columns).filter((f) => (!matches || matches[f]) &&
			model.costs.total.some((column) => column[f] > 0));
	}

	draw(event, matches, selected) {
		// What is sorted by the counter in view is sorted by the next one in view.
		if (this.sort.event === this.event)
			this.sort.event = event;
		this.event = event;
		const columns = this.columns(), rows = this.rows(columns, matches);
		this.head.textContent = "";
		for (const column of columns)
			this.drawHead(column);
		this.body.textContent = "";
		for (const f of rows.slice(0, this.limit))
			this.drawRow(columns, f, selected);
		this.foot.textContent = formatCount(Math.min(rows.length, this.limit)) + " of " + formatCount(rows.length) +
			" functions" + (matches ? " that match" : "") + ". Total counts recursion once. ";
		if (rows.length > this.limit)
			button(this.foot, "Show more", "", () => {
				this.limit *= 4;
				this.draw(event, matches, selected);
			});
	}

	drawHead(column) {
		const th = make(this.head, "th");
		th.scope = "col";
		if (column.event !== undefined)
			th.classList.toggle("current", column.event === this.event);
		if (this.isSorted(column))
			th.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
		button(th, column.text, "Sort", () => this.sortBy(column));
	}

	drawRow(columns, f, selected) {
		const tr = make(this.body, "tr", f === selected ? "selected" : "");
		for (const column of columns) {
			if (column.key === "name") {
				const th = make(tr, "th", "name");
				th.scope = "row";
				button(th, labelOf(f), nameOf(f) + " \u00b7 " + placeOf(f), () => this.on.select(f));
			} else if (column.key === "module") {
				make(tr, "td", "module", moduleOf(f));
			} else if (column.key === "ratio") {
				const found = selfRatio(column.of, f);
				make(tr, "td", found.few ? "few" : "", found.few ? "few samples" : shortNumber(found.value));
			} else {
				this.drawShare(tr, column, f);
			}
		}
	}

	drawShare(tr, column, f) {
		const raw = this.valueOf(column)(f), share = raw / model.base.total[column.event][0];
		const td = make(tr, "td", column.event === this.event ? "current" : "", raw > 0 ? percent(share, 1) : "");
		td.title = weightText(column.event, raw) + unitText(column.event) + shareError(column.event, raw);
		td.style.backgroundSize = 100 * Math.min(share, 1) + "% 100%";
	}
}

// The lines of a function that cost something: [{line, self, total, samples}] with a value by event.
function linesOf(func) {
	const python = kindOf(func) === KIND.PYTHON, wanted = sourceOf(func);
	return model.lines.filter((row) => (python ? sourceOf(row.func) === wanted : row.func === func))
		.sort((a, b) => a.line - b.line);
}

const AROUND = 5; // lines

// Those and the lines around them whose text is here: [{line, text, costs}].
function listingOf(costs, text) {
	const all = new Map();
	for (const row of costs) {
		for (let line = row.line - AROUND; line <= row.line + AROUND; line++)
			if (text.has(line) && !all.has(line))
				all.set(line, {line, text: text.get(line)});
		all.set(row.line, {line: row.line, text: text.get(row.line) || "", costs: row});
	}
	return [...all.values()].sort((a, b) => a.line - b.line);
}

// The columns: the counter in view, next to the source, and behind that all others.
class LineColumns {
	constructor(event) {
		this.event = event;
		this.others = model.events.map((_, e) => e).filter((e) => e !== event);
		this.ratios = allRatios().named;
	}

	drawHead(head) {
		const top = make(head, "tr"), below = make(head, "tr");
		const tall = (text, name) => Object.assign(make(top, "th", name, text), {scope: "col", rowSpan: 2});
		const counter = (e, name) => {
			Object.assign(make(top, "th", name, model.events[e].label), {scope: "colgroup", colSpan: 2});
			for (const text of ["self", "total"])
				make(below, "th", name, text).scope = "col";
		};
		tall("line", "");
		counter(this.event, "current");
		tall("source", "source");
		this.others.forEach((e) => counter(e, ""));
		this.ratios.forEach((r) => tall(r.name, "ratio"));
	}

	drawCosts(tr, e, costs) {
		for (const raw of [costs.self[e], costs.total[e]]) {
			const td = make(tr, "td", e === this.event ? "current" : "", raw > 0 ? shareText(e, raw) : "");
			td.title = weightText(e, raw) + unitText(e);
			td.style.backgroundSize = 100 * Math.min(raw / model.base.total[e][0], 1) + "% 100%";
		}
	}

	drawRow(body, {line, text, costs}) {
		const tr = make(body, "tr");
		make(tr, "th", "", String(line)).scope = "row";
		if (costs)
			this.drawCosts(tr, this.event, costs);
		else
			make(tr, "td").colSpan = 2;
		make(tr, "td", "source", text);
		if (!costs)
			return;
		this.others.forEach((e) => this.drawCosts(tr, e, costs));
		for (const r of this.ratios) {
			const found = ratioOf(r, (e) => costs.self[e], (e) => costs.samples[e]);
			make(tr, "td", found.few ? "few" : "", found.few ? "few samples" : shortNumber(found.value));
		}
	}
}

function fillLines(section, func, event) {
	section.textContent = "";
	const costs = linesOf(func), file = model.strings[field(func, 4)];
	const name = withoutLine(nameOf(func)), code = model.code.get(file);
	make(section, "h2", "", name);
	if (costs.length === 0) {
		make(section, "p", "", "No source lines are known for this function.");
		return;
	}
	make(section, "p", "place", file);
	if (!code)
		make(section, "p", "more", "The text of its lines is not in this report.");
	else if (code.note)
		make(section, "p", "warning", code.note);
	const box = make(section, "div", "scroll");
	box.tabIndex = 0;
	box.setAttribute("role", "region");
	box.setAttribute("aria-label", "Source lines of " + name);
	const table = make(box, "table", "functions code"), columns = new LineColumns(event);
	columns.drawHead(make(table, "thead"));
	const body = make(table, "tbody");
	let before = 0;
	for (const row of listingOf(costs, code ? code.text : new Map())) {
		if (before && row.line > before + 1)
			make(make(body, "tr", "gap"), "td", "", "\u22ee");
		before = row.line;
		columns.drawRow(body, row);
	}
}
