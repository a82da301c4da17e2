// Numbers and names as text, for flame graphs and the report.
"use strict";

// ---- Numbers as text, as base/units.c writes them ----

function formatTime(ns) {
	const digits = (x) => String(Number(x.toPrecision(3)));
	if (ns < 1e3)
		return Math.round(ns) + " ns";
	if (ns < 1e6)
		return digits(ns / 1e3) + " \u00b5s";
	return ns < 1e9 ? digits(ns / 1e6) + " ms" : (ns / 1e9).toFixed(2) + " s";
}

function formatCount(x) {
	return Math.round(x).toLocaleString("en-US");
}

function formatWeight(ev, x) {
	return ev.unit === "ns" ? formatTime(x) : formatCount(x);
}

function percent(part_, whole) {
	return whole > 0 ? (100 * part_ / whole).toFixed(2) + "%" : "-";
}

// Half of the 95 % interval of a share that is known from so many samples.
function errorOf(share, samples) {
	if (!(samples > 0))
		return "";
	const p = Math.min(Math.max(share, 0), 1);
	return " \u00b1 " + (196 * Math.sqrt(p * (1 - p) / samples)).toFixed(2);
}

// ---- Names made short, as render_text.c does ----

function columns(text) {
	let count = 0;
	for (const c of text) {
		const cp = c.codePointAt(0);
		count += cp >= 0x1100 && (cp <= 0x115f || cp >= 0x1f000 || (cp >= 0x2e80 && cp <= 0xa4cf) ||
			(cp >= 0xac00 && cp <= 0xd7a3) || (cp >= 0xf900 && cp <= 0xfaff) ||
			(cp >= 0xfe30 && cp <= 0xfe6f) || (cp >= 0xff00 && cp <= 0xff60)) ? 2 : 1;
	}
	return count;
}

function mayFold(text, i) {
	if (i === 0 || text.slice(Math.max(i - 8, 0), i) === "operator")
		return false;
	return text[i] === "<" ? /[A-Za-z0-9_]/.test(text[i - 1]) : !/[ :,]/.test(text[i - 1]);
}

function foldBrackets(text, open, close) {
	let out = "", level = 0;
	for (let i = 0; i < text.length; i++) {
		const c = text[i];
		if (c === open && (level || mayFold(text, i))) {
			if (level++ === 0)
				out += open + "\u2026";
		} else if (c === close && level && text[i - 1] !== "-") {
			level--;
		}
		if (level === 0)
			out += c;
	}
	return level === 0 ? out : text;
}

function withoutNamespace(text) {
	let level = 0;
	for (let i = 0; i < text.length; i++) {
		const c = text[i];
		if (c === "<" || c === "(" || c === "{")
			level++;
		else if (c === ">" || c === ")" || c === "}")
			level--;
		else if (level === 0 && c === " ")
			return "";
		else if (level === 0 && c === ":" && text[i + 1] === ":")
			return text.slice(i + 2);
	}
	return "";
}

function cut(text, room) {
	if (columns(text) <= room)
		return text;
	let out = "", used = 0;
	for (const c of text) {
		used += columns(c);
		if (used > room - 1)
			break;
		out += c;
	}
	return out + "\u2026";
}

function shorten(name, room) {
	if (room < 3)
		return "";
	// Most names fit or are short; the longest are cut before anything looks at them.
	let text = name.length > 4096 ? name.slice(0, 4096) : name, rest;
	if (columns(text) > room)
		text = foldBrackets(text, "<", ">");
	if (columns(text) > room)
		text = foldBrackets(text, "(", ")");
	while (columns(text) > room && (rest = withoutNamespace(text)))
		text = rest;
	return cut(text, room);
}
