// The report's data and the trees made of it. A tree is columns in preorder: of each node its function
// and depth, and by event the weight and samples of its own and of its subtree. Weights are kept as
// counted; what is shown is multiplied by the event's scale, as pmuflame does.

const KIND = {ROOT: 0, PROCESS: 1, KERNEL: 2, NATIVE: 3, INLINED: 4, PYTHON: 5, JIT: 6, SPECIAL: 7, THREAD: 8};
const KIND_NAMES = ["", "process", "kernel", "native", "inlined", "Python", "JIT", "not attributed", "thread"];
const FUNC_FIELDS = 7;

async function unpack(base64) {
	const text = atob(base64), packed = new Uint8Array(text.length);
	for (let i = 0; i < text.length; i++)
		packed[i] = text.charCodeAt(i);
	const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
	return JSON.parse(await new Response(stream).text());
}

class Tree {
	// Columns: func and depth in preorder; self and samples by event, self values.
	constructor(func, depth, self, samples) {
		const n = func.length;
		this.n = n;
		this.func = func;
		this.depth = depth;
		this.parent = new Int32Array(n);
		this.end = new Int32Array(n);
		this.self = self;
		this.samplesSelf = samples;
		this.rows = [];
		const last = [];
		for (let i = 0; i < n; i++) {
			const d = depth[i];
			last[d] = i;
			this.parent[i] = d ? last[d - 1] : -1;
			this.end[i] = i + 1;
			(this.rows[d] = this.rows[d] || []).push(i);
		}
		for (let i = n - 1; i > 0; i--)
			this.end[this.parent[i]] = Math.max(this.end[this.parent[i]], this.end[i]);
		this.total = self.map((column) => this.sumUp(column));
		this.samples = samples.map((column) => this.sumUp(column));
		this.joined = [];
		this.starts = [];
	}

	sumUp(column) {
		const sum = Float64Array.from(column);
		for (let i = this.n - 1; i > 0; i--)
			sum[this.parent[i]] += sum[i];
		return sum;
	}

	// Where each node begins: callees from the left of their caller.
	start(event) {
		if (!this.starts[event]) {
			const start = new Float64Array(this.n), next = new Float64Array(this.n);
			const total = this.total[event];
			for (let i = 0; i < this.n; i++) {
				const up = this.parent[i];
				if (up >= 0) {
					start[i] = next[up];
					next[up] += total[i];
				}
				next[i] = start[i];
			}
			this.starts[event] = start;
		}
		return this.starts[event];
	}

	*children(i) {
		for (let c = i + 1; c < this.end[i]; c = this.end[c])
			yield c;
	}

	widestChild(i, event) {
		let best = -1;
		for (const c of this.children(i))
			if (best < 0 || this.total[event][c] > this.total[event][best])
				best = c;
		return best;
	}

	// The functions from the root to node i.
	path(i) {
		const out = [];
		for (; i >= 0; i = this.parent[i])
			out.push(this.func[i]);
		return out.reverse();
	}

	// The node at the end of a path of functions, or the last one on it that is here.
	find(path) {
		let at = 0;
		for (const func of path.slice(1)) {
			let next = -1;
			for (const c of this.children(at))
				if (this.func[c] === func)
					next = c;
			if (next < 0)
				break;
			at = next;
		}
		return at;
	}
}

// A tree that is made node by node, in any order; equal callees of one caller are one node.
class TreeBuilder {
	constructor(root, events) {
		this.func = [root];
		this.parent = [-1];
		this.depth = [0];
		this.self = Array.from({length: events}, () => [0]);
		this.samples = Array.from({length: events}, () => [0]);
		this.joined = Array.from({length: events}, () => [0]);
		this.index = new Map();
	}

	child(parent, func) {
		const key = parent * model.funcCount + func;
		let id = this.index.get(key);
		if (id === undefined) {
			id = this.func.length;
			this.index.set(key, id);
			this.func.push(func);
			this.parent.push(parent);
			this.depth.push(this.depth[parent] + 1);
			for (const columns of [this.self, this.samples, this.joined])
				for (const column of columns)
					column.push(0);
		}
		return id;
	}

	add(node, weights, samples, from) {
		this.self.forEach((column, e) => {
			column[node] += weights[e][from];
			this.samples[e][node] += samples[e][from];
		});
	}

	// In preorder, callees in the order of their functions, which is that of their names.
	finish() {
		const n = this.func.length, byFunc = Array.from(this.func.keys());
		byFunc.sort((a, b) => this.func[b] - this.func[a]);
		const first = new Int32Array(n).fill(-1), next = new Int32Array(n).fill(-1);
		for (const i of byFunc) {
			const up = this.parent[i];
			if (up >= 0) {
				next[i] = first[up];
				first[up] = i;
			}
		}
		const order = [];
		for (let at = 0; at >= 0;) {
			order.push(at);
			if (first[at] >= 0) {
				at = first[at];
				continue;
			}
			while (at >= 0 && next[at] < 0)
				at = this.parent[at];
			at = at >= 0 ? next[at] : -1;
		}
		const sorted = (column, Type) => Type.from(order, (i) => column[i]);
		const tree = new Tree(sorted(this.func, Int32Array), sorted(this.depth, Int32Array),
			this.self.map((c) => sorted(c, Float64Array)), this.samples.map((c) => sorted(c, Float64Array)));
		tree.joined = this.joined.map((c) => sorted(c, Float64Array));
		return tree;
	}
}

// Everything that the page knows.
const model = {};

function fill(column, nodes, values, n) {
	const out = new Float64Array(n);
	let at = 0;
	nodes.forEach((delta, k) => {
		at += delta;
		out[at] = values[k];
	});
	return out;
}

function loadModel(data) {
	const n = data.func.length;
	const column = (key) => data.events.map((ev) => fill(key, ev.nodes, ev[key], n));
	Object.assign(model, data, {funcCount: data.funcs.length / FUNC_FIELDS});
	model.base = new Tree(Int32Array.from(data.func), Int32Array.from(data.depth),
		column("self"), column("samples"));
	model.base.joined = data.events.map((ev) => (ev.joined ? Float64Array.from(ev.joined) : null));
	model.trees = new Map();
	model.labelIds = new Map();
	for (let k = 0; k < data.labels.length; k += 2)
		model.labelIds.set(data.labels[k], data.labels[k + 1]);
	for (const ev of model.events)
		delete ev.self;
	model.costs = functionCosts(model.base);
	model.highlights = [];
}

// What is known by line, and the text of source files by file and line.
function loadLines(data) {
	const column = (at) => data.lineCosts.map((costs) => costs[at]);
	model.lines = [];
	for (let k = 0; k < (data.lines || []).length / 2; k++)
		model.lines.push({func: data.lines[2 * k], line: data.lines[2 * k + 1],
			self: column(3 * k), total: column(3 * k + 1), samples: column(3 * k + 2)});
	model.code = new Map((data.code || []).map(({file, note, lines}) => {
		const text = new Map();
		for (let k = 0; k < lines.length; k += 2)
			text.set(lines[k], lines[k + 1]);
		return [file, {note, text}];
	}));
}

const field = (func, k) => model.funcs[func * FUNC_FIELDS + k];
const kindOf = (func) => field(func, 1);
const nameOf = (func) => model.strings[field(func, 0)] || "[unknown]";
// What is shown where that is not the name alone: it is short, or tells two of one name apart.
const labelOf = (func) => (model.labelIds.has(func) ? model.strings[model.labelIds.get(func)] : nameOf(func));
const moduleOf = (func) => model.strings[field(func, 2)];
const fileOf = (func) => model.strings[field(func, 4)] + (field(func, 6) ? ":" + field(func, 6) : "");
const placeOf = (func) => [KIND_NAMES[kindOf(func)], model.strings[field(func, 3)] || moduleOf(func),
	fileOf(func)].filter((s, k, all) => s && all.indexOf(s) === k).join(" \u00b7 ");
const isCode = (func) => kindOf(func) >= KIND.KERNEL && kindOf(func) <= KIND.JIT;

// The base tree without the levels of some kinds; what stood on them stands on their callers.
function treeWithout(kinds) {
	const key = kinds.join();
	if (kinds.length === 0)
		return model.base;
	if (!model.trees.has(key)) {
		const from = model.base, place = new Int32Array(from.n);
		const builder = new TreeBuilder(from.func[0], model.events.length);
		for (let i = 0; i < from.n; i++) {
			const up = i ? place[from.parent[i]] : 0;
			const dropped = i === 0 || kinds.includes(kindOf(from.func[i]));
			place[i] = dropped ? up : builder.child(up, from.func[i]);
			builder.add(place[i], from.self, from.samplesSelf, i);
			if (!dropped)
				builder.joined.forEach((column, e) => {
					column[place[i]] += from.joined[e] ? from.joined[e][i] : 0;
				});
		}
		model.trees.set(key, builder.finish());
	}
	return model.trees.get(key);
}

// Nodes of a function that are not below another one of it: recursion counts once.
function outermost(tree, func) {
	const out = [];
	for (let i = 0; i < tree.n;) {
		if (tree.func[i] === func) {
			out.push(i);
			i = tree.end[i];
		} else {
			i++;
		}
	}
	return out;
}

// Who calls a function, its direct callers next to it.
function callersOf(tree, func) {
	const builder = new TreeBuilder(func, model.events.length);
	for (const i of outermost(tree, func)) {
		let at = 0;
		for (let up = tree.parent[i]; up > 0; up = tree.parent[up])
			at = builder.child(at, tree.func[up]);
		builder.add(at, tree.total, tree.samples, i);
	}
	return builder.finish();
}

function calleesOf(tree, func) {
	const builder = new TreeBuilder(func, model.events.length);
	for (const root of outermost(tree, func)) {
		const place = new Map([[root, 0]]);
		for (let i = root; i < tree.end[root]; i++) {
			if (i > root)
				place.set(i, builder.child(place.get(tree.parent[i]), tree.func[i]));
			builder.add(place.get(i), tree.self, tree.samplesSelf, i);
		}
	}
	return builder.finish();
}

// Of each node the function that pays for it on the user's side, its own or that of kernel code's nearest
// caller outside; and whether it is below no other node of its function.
function payersOf(tree) {
	const payer = new Int32Array(tree.n), outer = new Uint8Array(tree.n);
	const open = new Int32Array(model.funcCount), path = [], users = [];
	for (let i = 0; i < tree.n; i++) {
		const func = tree.func[i], d = tree.depth[i];
		while (path.length > d)
			open[path.pop()]--;
		users[d] = kindOf(func) !== KIND.KERNEL ? (isCode(func) ? func : -1) : d ? users[d - 1] : -1;
		payer[i] = users[d] < 0 ? func : users[d];
		outer[i] = open[func]++ === 0 ? 1 : 0;
		path.push(func);
	}
	return {payer, outer};
}

// By event and Python frame: its own weight and that of all that is above it but below the next Python frame.
function pythonCosts(tree) {
	const owner = new Int32Array(tree.n).fill(-1), out = tree.self.map(() => new Float64Array(model.funcCount));
	for (let i = 0; i < tree.n; i++) {
		owner[i] = kindOf(tree.func[i]) === KIND.PYTHON ? tree.func[i] : i ? owner[tree.parent[i]] : -1;
		if (owner[i] >= 0)
			out.forEach((column, e) => {
				column[owner[i]] += tree.self[e][i];
			});
	}
	return out;
}

// By event and function: self, total and samples (inclusive and own), recursion counted once; user is self
// as its payers have it, of events that only happen in the kernel.
function functionCosts(tree) {
	const {payer, outer} = payersOf(tree), {func, n} = tree;
	const sum = (columns, to, all) => columns.map((column, e) => {
		if (to === payer && !model.events[e].inKernel)
			return null;
		const out = new Float64Array(model.funcCount);
		for (let i = 0; i < n; i++)
			if (all || outer[i])
				out[to[i]] += column[i];
		return out;
	});
	return {self: sum(tree.self, func, true), total: sum(tree.total, func, false),
		samples: sum(tree.samples, func, false), samplesSelf: sum(tree.samplesSelf, func, true),
		user: sum(tree.self, payer, true), python: pythonCosts(tree)};
}

// The function with the most of an event, or -1.
function hottest(event) {
	const cost = model.events[event].inKernel ? model.costs.user[event] : model.costs.self[event];
	let best = -1;
	for (let f = 0; f < model.funcCount; f++)
		if (isCode(f) && cost[f] > 0 && (best < 0 || cost[f] > cost[best]))
			best = f;
	return best;
}

// Python frames are one function a line: this is what they have in common.
const withoutLine = (name) => name.replace(/:\d+\)$/, ")");
const sourceOf = (func) => field(func, 4) + " " + field(func, 6) + " " + kindOf(func) + " " + withoutLine(nameOf(func));

// The Python function with the most of an event, native code that it calls included: its name and weight, its
// hottest line and what that has, and what all Python functions have; or null.
function hottestPython(event) {
	const cost = model.costs.python[event], found = new Map();
	let best = null, all = 0;
	for (let f = 0; f < model.funcCount; f++) {
		if (cost[f] === 0)
			continue;
		const key = sourceOf(f), one = found.get(key) || {name: withoutLine(nameOf(f)), weight: 0, line: f};
		found.set(key, one);
		one.weight += cost[f];
		all += cost[f];
		if (cost[f] > cost[one.line])
			one.line = f;
		if (!best || one.weight > best.weight)
			best = one;
	}
	return best && {...best, lineWeight: cost[best.line], all};
}

const WORTH_NAMING = 0.1; // of the event

// The way of the widest Python calls, from the outermost on, as far as they have much of an event: frames
// and their weights, native code in between left out.
function pythonPath(event) {
	const tree = model.base, total = tree.total[event], out = [];
	for (let from = [0]; ;) {
		const next = new Map();
		for (const top of from)
			for (let i = top + 1; i < tree.end[top];) {
				const func = tree.func[i];
				if (kindOf(func) !== KIND.PYTHON) {
					i++;
					continue;
				}
				const step = next.get(func) || {func, weight: 0, nodes: []};
				next.set(func, step);
				step.weight += total[i];
				step.nodes.push(i);
				i = tree.end[i];
			}
		const widest = [...next.values()].reduce((a, b) => (b.weight > a.weight ? b : a), {weight: 0});
		if (!(widest.weight >= WORTH_NAMING * total[0]) || widest.weight === 0)
			return out;
		out.push(widest);
		from = widest.nodes;
	}
}

// What a first look is to name, by event.
function highlights(event) {
	if (!model.highlights[event]) {
		const python = hottestPython(event), mostlyPython = python !== null && python.all > model.base.total[event][0] / 2;
		model.highlights[event] = {python, mostlyPython, func: hottest(event), path: python ? pythonPath(event) : []};
	}
	return model.highlights[event];
}

const SI = ["", " k", " M", " G", " T", " P", " E"];

// "6.90 G": as pmf_format_si() writes it.
function shortWeight(event, raw) {
	let x = raw * model.events[event].scale, step = 0;
	if (model.events[event].unit === "ns")
		return formatTime(x);
	while (x >= 999.5 && step + 1 < SI.length) {
		x /= 1000;
		step++;
	}
	return (step === 0 ? String(Math.round(x)) : x.toPrecision(3)) + SI[step];
}

const weightText = (event, raw) => formatWeight(model.events[event], raw * model.events[event].scale);
const unitText = (event) => (model.events[event].unit === "ns" ? "" : " " + model.events[event].label);
const shareText = (event, raw) => percent(raw, model.base.total[event][0]);
const shareError = (event, raw) =>
	errorOf(raw / model.base.total[event][0], model.events[event].effective);
