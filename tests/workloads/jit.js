// Work in many functions, for SECONDS: recursion, builtins with callbacks, regular expressions, collected
// objects, functions made at run time, async ones.
"use strict";

function fib(n) {
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

function sortObjects(n) {
	const list = [];
	for (let i = 0; i < n; i++)
		list.push({ key: (i * 7919) % n, text: `x${i}` });
	return list.sort((a, b) => a.key - b.key).map((o) => o.text).join("").length;
}

function regexps(n) {
	let length = 0;
	for (let i = 0; i < n; i++)
		length += `key${i}=value;`.replace(/(\w+)=(\w+)/, "$2:$1").length;
	return length;
}

function garbage(n) {
	let list = null;
	for (let i = 0; i < n; i++)
		list = { next: i % 100 ? list : null, pair: [i, i + 1] };
	return list;
}

function made(i) {
	const source = `let s = 0; for (let j = 0; j < 200; j++) s += x % (j + 1); return s + ${i}`;
	return new Function("x", source)(i);
}

async function step(i) {
	await null;
	return fib(14) + made(i);
}

async function main(seconds) {
	const end = process.cpuUsage().user + seconds * 1e6;
	let sum = 0;
	for (let i = 0; process.cpuUsage().user < end; i++) {
		sum += fib(22) + sortObjects(2000) + regexps(2000);
		garbage(20000);
		for (let k = 0; k < 50; k++)
			sum += await step(i * 50 + k);
	}
	console.log(process.pid, process.env.NODE_OPTIONS || "", sum > 0);
}

main(Number(process.argv[2] || 1));
