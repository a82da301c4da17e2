// What the page shows, and the same in the URL's hash: a link, or a reload, shows it again.

const VIEWS = [["flame", "Flame", "f"], ["icicle", "Icicle", "i"], ["sandwich", "Sandwich", "s"],
	["table", "Table", "t"], ["lines", "Lines", "l"], ["ledger", "Ledger", "g"]];

const state = {
	event: 0, view: "flame", zoom: 0, selected: 0, centre: -1, search: "", ratio: null,
	processes: "split", threads: "merge",
};

const ratioById = (id) => {
	const {named, others} = allRatios();
	return [...named, ...others].find((r) => r.id === id) || null;
};

const currentTree = () => treeWithout([
	...(state.processes === "merge" ? [KIND.PROCESS] : []),
	...(state.threads === "merge" && model.firstOfKind[KIND.THREAD] >= 0 ? [KIND.THREAD] : []),
]);

function stateToHash() {
	const out = new URLSearchParams();
	out.set("counter", model.events[state.event].id);
	out.set("view", state.view);
	out.set("colour", state.ratio ? state.ratio.id : "kind");
	if (state.zoom)
		out.set("zoom", state.zoom);
	out.set("function", state.selected);
	if (state.centre >= 0 && state.view === "sandwich")
		out.set("centre", state.centre);
	if (state.search)
		out.set("search", state.search);
	if (state.processes !== "split")
		out.set("processes", state.processes);
	if (state.threads !== "merge")
		out.set("threads", state.threads);
	return "#" + out;
}

// Numbers of a link come from anywhere: what is out of range is left out.
function numberOf(text, end) {
	const n = Number(text);
	return text !== null && Number.isInteger(n) && n >= 0 && n < end ? n : -1;
}

const firstSelected = ({python, mostlyPython, func}) => (mostlyPython ? python.line : Math.max(func, 0));

function stateFromHash(hash) {
	const from = new URLSearchParams(hash.replace(/^#/, ""));
	const event = model.events.findIndex((ev) => ev.id === from.get("counter"));
	state.event = Math.max(event, 0);
	state.view = VIEWS.some(([id]) => id === from.get("view")) ? from.get("view") : "flame";
	state.ratio = from.has("colour") ? ratioById(from.get("colour")) : defaultRatio(allRatios().named);
	state.processes = from.get("processes") === "merge" ? "merge" : "split";
	state.threads = from.get("threads") === "split" ? "split" : "merge";
	state.zoom = Math.max(numberOf(from.get("zoom"), currentTree().n), 0);
	state.selected = numberOf(from.get("function"), model.funcCount);
	if (state.selected < 0)
		state.selected = firstSelected(highlights(state.event));
	state.centre = numberOf(from.get("centre"), model.funcCount);
	if (state.centre < 0)
		state.centre = state.selected;
	state.search = from.get("search") || "";
}
