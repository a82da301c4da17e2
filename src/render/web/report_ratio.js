// Two counters of one run tell more than either: how far the processor got, what it waited for.

const FEW = 20; // samples below which a ratio is not shown as a colour
// Per cent of the whole program's ratio: where one colour ends and the next begins.
const BIN_EDGES = [1 / 4, 1 / 2, 1 / Math.SQRT2, Math.SQRT2, 2, 4];
// Blue to orange over grey, which people with the common colour blindnesses tell apart. The labels'
// contrast on each is 4.5 to 1 at least.
const BIN_COLOURS = {
	light: ["#6baed6", "#9ecae1", "#cadeee", "#e6e4e0", "#fbdcbc", "#fdb876", "#f3954a"],
	dark: ["#1f5f9e", "#2f628e", "#44586b", "#4b4c50", "#6d553a", "#854f1c", "#9c4708"],
};

// "cycles" of "arm_n1::CPU_CYCLES:u".
function plainLabel(label) {
	return label.toLowerCase().replace(/^.*::/, "").replace(/\/?:[a-z]+$/, "");
}

const CYCLES = /^(cpu[-_]?)?cycles(_p)?$|^cpu_clk_unhalted(\.thread)?(_p)?$/;
const INSTRUCTIONS = /^instructions(_p)?$|^inst(r)?_?retired(\.any)?(_p)?$/;
const MISSES = /miss|refill/;
// What a miss costs, in cycles, unless others hide it: rules of thumb for today's machines.
const MEMORY = [
	{is: /^cache-misses$|(llc|l3|ll_cache|longest_lat).*(miss|refill)/, cycles: 200},
	{is: /(dtlb|l2d?_tlb|l1d_tlb).*(miss|refill|walk)/, cycles: 30},
];

const eventLike = (re) => model.events.findIndex((ev) => re.test(plainLabel(ev.label)));

// The counter that a miss ratio is of: cache-references for cache-misses, X-loads for X-load-misses.
function referencesOf(label) {
	const name = plainLabel(label);
	const wanted = {"cache-misses": "cache-references", "branch-misses": "branches?(-instructions)?"}[name] ||
		name.replace(/[^a-z0-9_-]/g, ".").replace(/-misses$/, "s");
	return wanted === name ? -1 : eventLike(new RegExp("^" + wanted + "$"));
}

function ratio(num, den, name, factor) {
	return {num, den, name, factor, id: model.events[num].id + "/" + model.events[den].id};
}

function plainRatio(num, den) {
	const a = model.events[num], b = model.events[den];
	if (b.unit === "ns")
		return ratio(num, den, a.unit === "ns" ? a.label + " per " + b.label : a.label + " per second of " + b.label,
			(a.scale / b.scale) * (a.unit === "ns" ? 1 : 1e9));
	return ratio(num, den, (a.unit === "ns" ? "ns of " : "") + a.label + " per " + b.label.replace(/(ss)es$|s$/, "$1"),
		a.scale / b.scale);
}

// Those that mean something first, then every other pair.
function allRatios() {
	const events = model.events, cycles = eventLike(CYCLES), instructions = eventLike(INSTRUCTIONS);
	const clock = events.findIndex((ev) => ev.unit === "ns");
	const scale = (num, den) => events[num].scale / events[den].scale;
	const named = [], others = [];
	if (instructions >= 0)
		events.forEach((ev, e) => {
			if (MISSES.test(plainLabel(ev.label)))
				named.push(ratio(e, instructions, ev.label + " per 1000 instructions",
					1000 * scale(e, instructions)));
		});
	if (cycles >= 0 && instructions >= 0)
		named.push(ratio(cycles, instructions, "cycles per instruction", scale(cycles, instructions)));
	events.forEach((ev, e) => {
		const of = MISSES.test(plainLabel(ev.label)) ? referencesOf(ev.label) : -1;
		if (of >= 0)
			named.push(ratio(e, of, ev.label + " per 100 " + events[of].label, 100 * scale(e, of)));
		if (clock >= 0 && /faults$/.test(plainLabel(ev.label)))
			named.push(plainRatio(e, clock));
	});
	const known = new Set(named.map((r) => r.id));
	events.forEach((_, a) => events.forEach((__, b) => {
		if (a !== b && !known.has(events[a].id + "/" + events[b].id))
			others.push(plainRatio(a, b));
	}));
	return {named, others};
}

// The ratio that the report opens with: where it waits for memory, if the counters can tell.
function defaultRatio(named) {
	const memory = named.find((r) => MEMORY[0].is.test(plainLabel(model.events[r.num].label))) || named[0];
	return memory && eventLike(CYCLES) >= 0 && MISSES.test(plainLabel(model.events[memory.num].label)) &&
		INSTRUCTIONS.test(plainLabel(model.events[memory.den].label)) ? memory : null;
}

function shortNumber(x) {
	if (!Number.isFinite(x))
		return "-";
	return x >= 1000 ? formatCount(x) : String(Number(x.toPrecision(3)));
}

const overallOf = (r) => r.factor * model.base.total[r.num][0] / model.base.total[r.den][0];

// Samples that know as much as those of unequal weight do.
function effectiveOf(event, samples) {
	const all = model.base.samples[event][0];
	return all > 0 ? samples * Math.min(model.events[event].effective / all, 1) : 0;
}

// The ratio of some weights and samples by event: its value, half of its 95 % interval as a part of
// it, and whether there are enough samples. No sample at all is a finding where many were to be expected.
function ratioOf(r, weightOf, samplesOf) {
	const a = weightOf(r.num), b = weightOf(r.den);
	const na = effectiveOf(r.num, samplesOf(r.num)), nb = effectiveOf(r.den, samplesOf(r.den));
	const share = b / model.base.total[r.den][0];
	const expected = share * effectiveOf(r.num, model.base.samples[r.num][0]);
	return {
		value: r.factor * a / b,
		relative: na > 0 && nb > 0 ? 1.96 * Math.sqrt(1 / na + 1 / nb) : Infinity,
		few: !(nb >= FEW && Math.max(na, expected) >= FEW && b > 0),
	};
}

const nodeRatio = (r, tree, i) => ratioOf(r, (e) => tree.total[e][i], (e) => tree.samples[e][i]);
const selfRatio = (r, func) =>
	ratioOf(r, (e) => model.costs.self[e][func], (e) => model.costs.samplesSelf[e][func]);
const totalRatio = (r, func) =>
	ratioOf(r, (e) => model.costs.total[e][func], (e) => model.costs.samples[e][func]);

// Of a function's colours: 0 to 6, or -1 where there are too few samples.
function ratioBin(r, overall, tree, i) {
	const found = nodeRatio(r, tree, i);
	if (found.few)
		return -1;
	let bin = 0;
	while (bin < BIN_EDGES.length && found.value >= BIN_EDGES[bin] * overall)
		bin++;
	return bin;
}

function ratioText(found) {
	if (found.few)
		return "few samples";
	const error = found.relative * found.value;
	return shortNumber(found.value) + (error > 0 && Number.isFinite(error) ? " \u00b1 " + shortNumber(Number(error.toPrecision(2))) : "");
}

// Whether a function waits for memory, as its own code's counters tell it: the verdict, and why.
function memoryVerdict(func) {
	const cycles = eventLike(CYCLES), instructions = eventLike(INSTRUCTIONS);
	const memory = MEMORY.map((m) => ({event: eventLike(m.is), cycles: m.cycles})).filter((m) => m.event >= 0);
	if (memory.length === 0 || (cycles < 0 && instructions < 0))
		return {text: "Whether it is memory-bound cannot be told from " +
			model.events.map((ev) => ev.label).join(", ") +
			": that takes cycles, instructions and cache-misses of one run."};
	const den = cycles >= 0 ? cycles : instructions;
	const what = cycles >= 0 ? "cycles" : "instructions";
	const facts = [];
	let waiting = 0;
	for (const m of memory) {
		const scale = model.events[m.event].scale / model.events[den].scale;
		const found = selfRatio(ratio(m.event, den, "", scale), func);
		if (found.few)
			continue;
		waiting += found.value * m.cycles;
		facts.push(shortNumber(1000 * found.value) + " " + model.events[m.event].label + " per 1000 " + what);
	}
	if (facts.length === 0)
		return {text: "Too few samples to tell whether it is memory-bound."};
	const verdict = waiting >= 0.5 ? "Memory-bound" : waiting >= 0.1 ? "Partly memory-bound" : "Not memory-bound";
	return {verdict, text: ": " + facts.join(", ") + ". Waiting for all of them, one after the other, " +
		"would take " + (waiting >= 1 ? "all" : percent(waiting, 1).replace(/\.\d+/, "")) + " of its " + what +
		" (at " + memory.map((m) => m.cycles).join(" and ") + " cycles each, a rule of thumb)."};
}
