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

// The lines of a function: [{line, self, total}] with a value by event.
function linesOf(func) {
	const wanted = sourceOf(func), out = [];
	for (const row of model.lines)
		if (sourceOf(row.func) === wanted)
			out.push(row);
	return out.sort((a, b) => a.line - b.line);
}

function fillLines(section, func, event) {
	section.textContent = "";
	const lines = linesOf(func), file = model.strings[field(func, 4)];
	make(section, "h2", "", withoutLine(nameOf(func)));
	if (lines.length === 0) {
		make(section, "p", "", "No source lines are known for this function.");
		return;
	}
	make(section, "p", "place", file);
	const table = make(make(section, "div", "scroll"), "table", "functions"), head = make(make(table, "thead"), "tr");
	make(head, "th", "", "line").scope = "col";
	model.events.forEach((ev, e) => {
		for (const text of [ev.label + " self", "total"])
			make(head, "th", e === event ? "current" : "", text).scope = "col";
	});
	const body = make(table, "tbody");
	for (const row of lines) {
		const tr = make(body, "tr");
		make(tr, "th", "name", String(row.line)).scope = "row";
		model.events.forEach((ev, e) => {
			for (const raw of [row.self[e], row.total[e]]) {
				const td = make(tr, "td", e === event ? "current" : "", raw > 0 ? shareText(e, raw) : "");
				td.title = weightText(e, raw) + unitText(e);
				td.style.backgroundSize = 100 * Math.min(raw / model.base.total[e][0], 1) + "% 100%";
			}
		});
	}
}
