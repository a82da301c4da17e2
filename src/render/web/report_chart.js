// A flame graph on a canvas: it draws what is in sight of a tree that may have a hundred thousand nodes,
// finds the frame under the pointer by arithmetic, and tells screen readers of the one in focus.

const ROW = 18, THINNEST = 0.3, TWEEN_MS = 220, SLOW_MS = 14;
const FONT = "12px ui-monospace, SFMono-Regular, Menlo, Consolas, \"DejaVu Sans Mono\", monospace";

const darkMode = matchMedia("(prefers-color-scheme: dark)");
const calmMode = matchMedia("(prefers-reduced-motion: reduce)");
const isDark = () => darkMode.matches && !document.documentElement.classList.contains("printing");

function make(parent, tag, className, text) {
	const el = document.createElement(tag);
	if (className)
		el.className = className;
	if (text !== undefined)
		el.textContent = text;
	parent.append(el);
	return el;
}

class Chart {
	// on: {zoom(node), select(func), hover(node, event), label()} tells the page what people do.
	constructor(host, on) {
		this.on = on;
		this.host = host;
		host.className = "chart";
		host.tabIndex = 0;
		host.setAttribute("role", "tree");
		this.spacer = make(host, "div", "spacer");
		this.canvas = make(this.spacer, "canvas");
		this.canvas.setAttribute("aria-hidden", "true");
		this.context = this.canvas.getContext("2d", {alpha: false});
		this.hoverMark = make(this.spacer, "div", "mark hover");
		this.focusMark = make(this.spacer, "div", "mark focus");
		this.note = make(this.spacer, "p", "note");
		this.items = [0, 1].map((k) => this.makeItem(k));
		Object.assign(this, {tree: null, event: 0, zoom: 0, focus: 0, showFocus: false, hover: -1, up: true,
			matches: null, selected: -1, ratio: null, tweenFrom: null, bins: new Map()});
		host.addEventListener("scroll", () => this.draw(), {passive: true});
		host.addEventListener("mousemove", (e) => this.onMove(e));
		host.addEventListener("mouseleave", (e) => this.setHover(-1, e));
		host.addEventListener("click", (e) => this.onClick(e));
		host.addEventListener("keydown", (e) => this.onKey(e));
		host.addEventListener("focus", () => this.announce());
		new ResizeObserver(() => this.draw()).observe(host);
	}

	// Screen readers read an item anew when it is another one: there are two, by turns.
	makeItem(k) {
		const item = make(this.host, "div", "unseen");
		item.id = this.host.id + "-item" + k;
		item.setAttribute("role", "treeitem");
		return item;
	}

	// What to show; anything left out stays.
	set(view) {
		const before = this.tree === view.tree && this.host.clientWidth ? this.layout() : null;
		const changed = before && ((view.event !== undefined && view.event !== this.event) ||
			(view.zoom !== undefined && view.zoom !== this.zoom));
		if (view.ratio !== undefined && view.ratio !== this.ratio)
			this.bins.clear();
		if (view.tree && view.tree !== this.tree) {
			this.bins.clear();
			Object.assign(this, {zoom: 0, focus: 0, hover: -1});
		}
		const turned = view.up !== undefined && view.up !== this.up;
		Object.assign(this, view);
		const tree = this.tree;
		this.focus = Math.min(this.focus, tree.n - 1);
		if (view.zoom !== undefined && (this.focus < this.zoom || this.focus >= tree.end[this.zoom]))
			this.focus = this.zoom;
		this.spacer.style.height = tree.rows.length * ROW + "px";
		this.host.setAttribute("aria-label", this.on.label());
		if (view.tree || turned)
			this.scrollToRoot();
		if (changed && !calmMode.matches && !(this.lastDrawMs > SLOW_MS))
			this.tween(before);
		else
			this.draw();
		this.announce();
	}

	scrollToRoot() {
		this.host.scrollTop = this.up ? this.spacer.offsetHeight : 0;
	}

	// ---- Where things are ----

	// x = (start - origin) * scale, of the zoomed frame's width.
	layout() {
		const total = this.tree.total[this.event], width = this.host.clientWidth;
		const start = this.tree.start(this.event), all = total[this.zoom];
		return {start, total, origin: start[this.zoom], scale: all > 0 ? width / all : 0, width};
	}

	top(i) {
		return (this.up ? this.tree.rows.length - 1 - this.tree.depth[i] : this.tree.depth[i]) * ROW;
	}

	// Callers of the zoomed frame take the whole width.
	box(i) {
		const l = this.layout(), on = this.isCaller(i) || i === this.zoom;
		return on ? {x: 0, width: l.width} : {x: (l.start[i] - l.origin) * l.scale, width: l.total[i] * l.scale};
	}

	isCaller(i) {
		return i < this.zoom && this.tree.end[i] > this.zoom;
	}

	isShown(i) {
		return i >= 0 && (this.isCaller(i) || (i >= this.zoom && i < this.tree.end[this.zoom]));
	}

	nodeAt(e) {
		const rect = this.spacer.getBoundingClientRect();
		const x = e.clientX - rect.left, line = Math.floor((e.clientY - rect.top) / ROW);
		const last = this.tree.rows.length - 1, d = this.up ? last - line : line;
		if (d < 0 || d > last || x < 0 || x >= this.host.clientWidth)
			return -1;
		const tree = this.tree;
		if (d <= tree.depth[this.zoom]) {
			let i = this.zoom;
			while (tree.depth[i] > d)
				i = tree.parent[i];
			return i;
		}
		const l = this.layout(), weight = l.origin + x / l.scale, row = tree.rows[d];
		let low = 0, high = row.length;
		while (low < high) {
			const mid = (low + high) >> 1;
			if (l.start[row[mid]] <= weight)
				low = mid + 1;
			else
				high = mid;
		}
		// Frames without this event have no width: the one before them was meant.
		for (low--; low > 0 && l.total[row[low]] === 0;)
			low--;
		const i = low >= 0 ? row[low] : -1;
		return i > this.zoom && i < tree.end[this.zoom] && weight < l.start[i] + l.total[i] ? i : -1;
	}

	// ---- Drawing ----

	tween(before) {
		const begin = performance.now();
		this.tweenFrom = before;
		const step = () => {
			if (this.tweenFrom !== before)
				return;
			const t = Math.min((performance.now() - begin) / TWEEN_MS, 1);
			this.tweenAt = 1 - (1 - t) ** 3;
			if (t === 1)
				this.tweenFrom = null;
			this.draw();
			if (t < 1 && this.lastDrawMs < 2 * SLOW_MS)
				requestAnimationFrame(step);
			else if (t < 1)
				this.stopTween();
		};
		step();
	}

	stopTween() {
		this.tweenFrom = null;
		this.draw();
	}

	// Calls visit(i, left, right) in device pixels for the frames that are in sight and wide enough.
	eachVisible(firstRow, lastRow, dpr, visit) {
		const tree = this.tree, to = this.layout(), from = this.tweenFrom, t = this.tweenAt;
		const edge = Math.round(to.width * dpr), filled = [], last = tree.rows.length - 1;
		const at = (weightTo, weightFrom) => {
			const x = (weightTo - to.origin) * to.scale;
			return (from ? (weightFrom - from.origin) * from.scale * (1 - t) + x * t : x) * dpr;
		};
		const deepest = this.up ? last - firstRow : lastRow;
		for (let i = 0; i < tree.n;) {
			const d = tree.depth[i];
			let left = from ? at(to.start[i], from.start[i]) : at(to.start[i]);
			let right = from ? at(to.start[i] + to.total[i], from.start[i] + from.total[i]) :
				at(to.start[i] + to.total[i]);
			if (i === this.zoom || this.isCaller(i)) {
				if (to.scale === 0 && !from) {
					left = 0;
					right = edge;
				} else if (!from) {
					left = Math.min(left, 0);
					right = Math.max(right, edge);
				}
			}
			if (right - left < THINNEST || right <= 0 || left >= edge || d > deepest) {
				i = tree.end[i];
				continue;
			}
			left = Math.max(Math.round(left), 0);
			right = Math.min(Math.max(Math.round(right), left + 1), edge);
			const row = this.up ? last - d : d;
			if (row >= firstRow && row <= lastRow && !(right <= filled[d])) {
				visit(i, Math.max(left, filled[d] || 0), right, row);
				filled[d] = right;
			}
			i++;
		}
	}

	// The fill of a node: a key of this.fills.
	fillOf(i) {
		const func = this.tree.func[i];
		if (kindOf(func) === KIND.SPECIAL)
			return "hatch";
		if (this.ratio) {
			if (!this.bins.has(i))
				this.bins.set(i, ratioBin(this.ratio, overallOf(this.ratio), this.tree, i));
			const bin = this.bins.get(i);
			return bin < 0 ? "hatch" : BIN_COLOURS[isDark() ? "dark" : "light"][bin];
		}
		if (this.matches && this.matches[func])
			return "match";
		return model[isDark() ? "dark" : "light"][field(func, 5)];
	}

	hatch(dpr) {
		const tile = document.createElement("canvas"), size = Math.round(6 * dpr);
		tile.width = tile.height = size;
		const c = tile.getContext("2d");
		c.fillStyle = isDark() ? "#34353a" : "#eceae5";
		c.fillRect(0, 0, size, size);
		c.strokeStyle = isDark() ? "#5a5b60" : "#c2bdb3";
		c.lineWidth = 1.5 * dpr;
		for (const shift of [-size, 0, size]) {
			c.beginPath();
			c.moveTo(shift, size);
			c.lineTo(shift + size, 0);
			c.stroke();
		}
		return this.context.createPattern(tile, "repeat");
	}

	draw() {
		const width = this.host.clientWidth, height = this.host.clientHeight;
		if (!this.tree || width === 0)
			return;
		const begin = performance.now(), c = this.context;
		const dpr = window.devicePixelRatio || 1, scroll = this.host.scrollTop;
		const shown = Math.min(height, this.tree.rows.length * ROW);
		const firstRow = Math.max(Math.floor(scroll / ROW), 0);
		const lastRow = Math.min(Math.ceil((scroll + shown) / ROW), this.tree.rows.length) - 1;
		this.canvas.width = Math.round(width * dpr);
		this.canvas.height = Math.round(shown * dpr);
		Object.assign(this.canvas.style, {width: width + "px", height: shown + "px", top: scroll + "px"});
		c.fillStyle = isDark() ? "#17181b" : "#fcfbf8";
		c.fillRect(0, 0, this.canvas.width, this.canvas.height);
		const fills = new Map(), labels = [], outlines = [];
		this.eachVisible(firstRow, lastRow, dpr, (i, left, right, row) => {
			const func = this.tree.func[i], y = Math.round((row * ROW - scroll) * dpr);
			const dim = this.matches && !this.matches[func] ? 0.3 : this.isCaller(i) ? 0.55 : 1;
			const fill = this.fillOf(i), key = fill + dim;
			if (!fills.has(key))
				fills.set(key, {fill, dim, boxes: []});
			fills.get(key).boxes.push(left, y, right - left > 2 ? right - left - 1 : right - left);
			if (right - left > 24 * dpr)
				labels.push([i, left, right, y, fill === "match"]);
			if (func === this.selected)
				outlines.push([left, y, right]);
		});
		this.paint(fills, dpr);
		this.paintLabels(labels, dpr);
		c.strokeStyle = isDark() ? "#ffffff" : "#17130f";
		c.lineWidth = 1.5 * dpr;
		for (const [left, y, right] of outlines)
			c.strokeRect(left + 0.75 * dpr, y + 0.75 * dpr, Math.max(right - left - 2.5 * dpr, 1), (ROW - 2.5) * dpr);
		this.placeMarks();
		this.lastDrawMs = performance.now() - begin;
	}

	paint(fills, dpr) {
		const c = this.context, height = Math.round((ROW - 1) * dpr);
		for (const {fill, dim, boxes} of fills.values()) {
			c.fillStyle = fill === "hatch" ? this.hatch(dpr) :
				fill === "match" ? (isDark() ? "#c9bbff" : "#4a35c4") : fill;
			c.globalAlpha = dim;
			for (let k = 0; k < boxes.length; k += 3)
				c.fillRect(boxes[k], boxes[k + 1], boxes[k + 2], height);
		}
		c.globalAlpha = 1;
	}

	paintLabels(labels, dpr) {
		const c = this.context;
		c.setTransform(dpr, 0, 0, dpr, 0, 0);
		c.font = FONT;
		c.textBaseline = "alphabetic";
		this.em = this.em || c.measureText("0".repeat(50)).width / 50;
		for (const [i, left, right, y, isMatch] of labels) {
			c.fillStyle = isMatch !== isDark() ? "#ffffff" : "#201c18";
			c.fillText(shorten(labelOf(this.tree.func[i]), Math.floor(((right - left) / dpr - 6) / this.em)),
				left / dpr + 3, y / dpr + 12.5);
		}
		c.setTransform(1, 0, 0, 1, 0, 0);
	}

	placeMarks() {
		for (const [mark, i] of [[this.hoverMark, this.hover], [this.focusMark, this.showFocus ? this.focus : -1]]) {
			mark.hidden = !this.isShown(i);
			if (mark.hidden)
				continue;
			const box = this.box(i);
			Object.assign(mark.style, {left: box.x + "px", top: this.top(i) + "px",
				width: Math.max(box.width, 2) + "px"});
		}
		const empty = this.tree.total[this.event][this.zoom] === 0;
		this.note.hidden = !empty;
		if (empty)
			this.note.textContent = this.zoom ? "Nothing of " + model.events[this.event].label + " was sampled in " +
				shorten(labelOf(this.tree.func[this.zoom]), 40) + ". Backspace zooms out." :
				"Nothing to draw: " + model.events[this.event].label + " has no samples. The ledger says why.";
	}

	// ---- What people do ----

	setHover(i, e) {
		if (i !== this.hover) {
			this.hover = i;
			this.placeMarks();
		}
		this.on.hover(i, e);
	}

	onMove(e) {
		this.setHover(this.nodeAt(e), e);
	}

	onClick(e) {
		const i = this.nodeAt(e);
		if (i < 0)
			return;
		this.focus = i;
		this.showFocus = false;
		this.on.zoom(i);
	}

	focusOn(i) {
		this.focus = i;
		this.showFocus = true;
		const y = this.top(i);
		if (y < this.host.scrollTop)
			this.host.scrollTop = y - ROW;
		else if (y + 2 * ROW > this.host.scrollTop + this.host.clientHeight)
			this.host.scrollTop = y + 3 * ROW - this.host.clientHeight;
		this.placeMarks();
		this.announce();
		this.on.select(this.tree.func[i]);
	}

	// The frame beside i in its row that has some of the event.
	neighbour(i, step) {
		const row = this.tree.rows[this.tree.depth[i]], total = this.tree.total[this.event];
		let at = row.indexOf(i) + step;
		while (at >= 0 && at < row.length && total[row[at]] === 0)
			at += step;
		return at >= 0 && at < row.length && row[at] >= this.zoom && row[at] < this.tree.end[this.zoom] ? row[at] : -1;
	}

	onKey(e) {
		if (e.ctrlKey || e.metaKey || e.altKey)
			return;
		const tree = this.tree, deeper = this.up ? "ArrowUp" : "ArrowDown", higher = this.up ? "ArrowDown" : "ArrowUp";
		let i = this.focus;
		if (e.key === "Enter") {
			this.on.zoom(i);
		} else if (e.key === "Backspace") {
			this.on.zoom(Math.max(tree.parent[this.zoom], 0));
		} else if (e.key === "Home") {
			this.focusOn(this.zoom);
		} else if (/^Arrow/.test(e.key)) {
			if (e.key === higher)
				i = tree.parent[i];
			else if (e.key === deeper && this.isCaller(i))
				i = [...tree.children(i)].find((c) => c === this.zoom || this.isCaller(c));
			else if (e.key === deeper)
				i = tree.widestChild(i, this.event);
			else
				i = this.isCaller(i) ? -1 : this.neighbour(i, e.key === "ArrowLeft" ? -1 : 1);
			this.focusOn(i >= 0 ? i : this.focus);
		} else {
			return;
		}
		e.preventDefault();
	}

	nextMatch(step) {
		const from = this.zoom, count = this.tree.end[from] - from, total = this.tree.total[this.event];
		for (let k = 1; this.matches && k <= count; k++) {
			const i = from + (((this.focus - from + step * k) % count) + count) % count;
			if (this.matches[this.tree.func[i]] && total[i] > 0) {
				this.focusOn(i);
				return;
			}
		}
	}

	announce() {
		const tree = this.tree, i = this.focus, func = tree.func[i];
		const up = tree.parent[i], brothers = up < 0 ? [i] : [...tree.children(up)];
		const item = this.items[0];
		this.items.reverse();
		item.textContent = labelOf(func) + ", " + shareText(this.event, tree.total[this.event][i]) + " of " +
			model.events[this.event].label + ", self " + shareText(this.event, tree.self[this.event][i]);
		const attrs = {level: tree.depth[i] + 1, posinset: brothers.indexOf(i) + 1, setsize: brothers.length,
			selected: func === this.selected};
		for (const [key, value] of Object.entries(attrs))
			item.setAttribute("aria-" + key, value);
		this.host.setAttribute("aria-activedescendant", item.id);
	}
}
