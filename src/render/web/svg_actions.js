// What people do with the flame graph of svg.js: search, zoom, move, and the keys for it. This, text.js and
// svg.js are the body of one function; render_svg.c puts it around them.

// ---- Search ----

// Frames whose name or label matches; "@" first looks at modules and files instead. Small letters match capital
// ones too.
function search(pattern) {
	let re = null;
	input.classList.remove("bad");
	view.pattern = pattern;
	view.matches = null;
	try {
		const source = pattern.replace(/^@/, "");
		re = source ? new RegExp(source, /[A-Z]/.test(source) ? "" : "i") : null;
	} catch (err) {
		input.classList.add("bad");
		output.textContent = "not a regular expression";
		output.title = err.message;
		draw();
		return;
	}
	if (re) {
		const fields = pattern[0] === "@" ? [2, 3, 4] : [0];
		view.matches = new Uint8Array(data.funcs.length / FUNC_FIELDS);
		for (let f = 0; f < view.matches.length; f++)
			view.matches[f] = fields.some((k) =>
				re.test(data.strings[data.funcs[f * FUNC_FIELDS + k]])) ||
				(fields[0] === 0 && labelIds.has(f) && re.test(data.strings[labelIds.get(f)]));
	}
	showMatched();
	draw();
}

// The matching frames from root on: how many, and their weight, in which what stands on a matching
// frame counts with it.
function matchedFrom(root) {
	let weight = 0, count = 0;
	for (let i = root, open = root; i < end[root]; i++) {
		if (!view.matches[data.func[i]])
			continue;
		count++;
		if (i >= open) {
			weight += total[i];
			open = end[i];
		}
	}
	return {weight, count};
}

function showMatched() {
	if (!view.matches) {
		output.textContent = output.title = "";
		return;
	}
	const found = matchedFrom(0);
	const share = percent(found.weight, total[0]) + " \u00b7 " + formatCount(found.count) + " of " +
		formatCount(n);
	const ofZoom = view.zoom ?
		", " + percent(matchedFrom(view.zoom).weight, total[view.zoom]) + " of zoom" : "";
	output.title = share + " frames" + ofZoom;
	output.textContent = view.width < NARROW ? share : output.title;
}

function nextMatch(step) {
	const from = view.zoom, count = end[view.zoom] - from;
	for (let k = 1; view.matches && k <= count; k++) {
		const i = from + (((view.focus - from + step * k) % count) + count) % count;
		if (view.matches[data.func[i]]) {
			focusOn(i);
			return;
		}
	}
}

// ---- Doing things ----

function zoomTo(i) {
	view.zoom = i;
	view.hover = -1;
	if (view.focus < i || view.focus >= end[i])
		view.focus = i;
	hideTip();
	showMatched();
	draw();
}

function resetAll() {
	input.value = "";
	search("");
	zoomTo(0);
}

function flip() {
	view.icicle = !view.icicle;
	draw();
	scrollTo(view.focus);
}

function focusOn(i) {
	view.focus = i;
	view.showFocus = true;
	view.hover = -1;
	hideTip();
	drawMarks();
	scrollTo(i);
}

function move(key) {
	const up = (key === "ArrowUp") !== view.icicle, row = rows[depth[view.focus]];
	let i = view.focus;
	if (key === "ArrowUp" || key === "ArrowDown") {
		i = up ? widestChild(i) : parent[i];
		// From a caller of the zoomed frame, the way down leads to it.
		if (up && isAncestor(view.focus))
			for (i = view.zoom; parent[i] !== view.focus;)
				i = parent[i];
	} else if (!isAncestor(i)) {
		i = row[row.indexOf(i) + (key === "ArrowLeft" ? -1 : 1)];
		if (i === undefined || i < view.zoom || i >= end[view.zoom])
			i = -1;
	}
	focusOn(i < 0 ? view.focus : i);
}

function focusSearch() {
	input.focus();
	input.select();
}

function toggleHelp(show) {
	helpBox.hidden = show === undefined ? !helpBox.hidden : !show;
}

function copyName() {
	const name = nameOf(view.hover >= 0 ? view.hover : view.focus);
	if (navigator.clipboard)
		navigator.clipboard.writeText(name).then(() => {
			status.textContent = "copied";
		}, () => {});
}

const KEYS = {
	"/": focusSearch,
	"?": () => toggleHelp(),
	Enter: () => zoomTo(view.focus),
	Backspace: () => zoomTo(Math.max(parent[view.zoom], 0)),
	Home: () => focusOn(view.zoom),
	i: flip,
	c: copyName,
	n: () => nextMatch(1),
	N: () => nextMatch(-1),
	Escape: () => (helpBox.hidden ? resetAll() : toggleHelp(false)),
};

function onKey(e) {
	if ((e.ctrlKey || e.metaKey) && e.key === "f" && document.activeElement !== input) {
		focusSearch(); // a second Ctrl-F is the browser's
		e.preventDefault();
		return;
	}
	if (e.ctrlKey || e.metaKey || e.altKey)
		return;
	if (e.target === input) {
		if (e.key === "Enter")
			nextMatch(e.shiftKey ? -1 : 1);
		if (e.key === "Escape") {
			input.value = "";
			search("");
			input.blur();
			svg.focus({preventScroll: true});
		}
		return;
	}
	if (e.key === "Enter" && e.target.localName === "button")
		return;
	if (/^Arrow/.test(e.key))
		move(e.key);
	else if (Object.prototype.hasOwnProperty.call(KEYS, e.key))
		KEYS[e.key]();
	else
		return;
	e.preventDefault();
}
