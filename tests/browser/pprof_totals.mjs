// The sample types of a profile and their totals, as npm's pprof-format reads them: a line for each.
// It comes from `npm ci` in this folder (or from NODE_PATH); exits with 77 where it is not installed.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gunzipSync } from "node:zlib";

let Profile;
try {
	({ Profile } = createRequire(import.meta.url)("pprof-format"));
} catch {
	process.exit(77);
}
const profile = Profile.decode(gunzipSync(readFileSync(process.argv[2])));
const text = (id) => profile.stringTable.strings[Number(id)];
profile.sampleType.forEach((type, i) => {
	const sum = profile.sample.reduce((total, sample) => total + BigInt(sample.value[i]), 0n);
	console.log(`${text(type.type)}/${text(type.unit)} ${sum}`);
});
