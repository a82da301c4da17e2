# perf script's text (-F comm,ip,sym) as folded stacks, one line each with its number of samples.
# Beside it, on stderr: "samples N frames N lost N".
/^PERF_RECORD_LOST|PERF_RECORD_LOST_SAMPLES/ { lost += $NF; next }
/^[^ \t]/ { comm = $0; sub(/[ \t]+$/, "", comm); gsub(/ /, "_", comm); stack = ""; n = 0; next }
NF == 0 { if (comm != "") { count[comm stack]++; samples++; frames += n }; comm = ""; next }
{
	name = $2
	for (i = 3; i <= NF; i++)
		name = name " " $i
	stack = ";" name stack
	n++
}
END {
	if (comm != "") { count[comm stack]++; samples++; frames += n }
	for (s in count)
		print s, count[s]
	printf "samples %d frames %d lost %d\n", samples, frames, lost >"/dev/stderr"
}
