#!/usr/bin/env bats
# The bash completion, asked as readline asks it.

setup()
{
	[ -r /usr/share/bash-completion/bash_completion ] || skip "bash-completion is not installed"
	mkdir "$BATS_TEST_TMPDIR/bin"
	cat >"$BATS_TEST_TMPDIR/bin/pmuflame" <<-'END'
		#!/bin/sh
		[ "$1 $2" = "list --json" ] || exit 2
		echo x >>"$0.calls"
		echo '[{"name":"cycles"},{"name":"cache-misses"},'
		echo '{"name": "sched:sched_switch"}]'
	END
	chmod +x "$BATS_TEST_TMPDIR/bin/pmuflame"
	touch "$BATS_TEST_TMPDIR/bin/pmf-target"
	chmod +x "$BATS_TEST_TMPDIR/bin/pmf-target"
	cat >"$BATS_TEST_TMPDIR/ask" <<-END
		PATH=$BATS_TEST_TMPDIR/bin:\$PATH
		. /usr/share/bash-completion/bash_completion
		. "${srcdir:?}/scripts/completion/pmuflame.bash"
		for COMP_LINE; do
			COMPREPLY=()
			COMP_POINT=\${#COMP_LINE}
			# As readline splits: word breaks are words of their own.
			read -ra COMP_WORDS <<<"\$(sed 's/[:=@]/ & /g' <<<"\$COMP_LINE")"
			[[ \$COMP_LINE != *' ' ]] || COMP_WORDS+=('')
			COMP_CWORD=\$((\${#COMP_WORDS[@]} - 1))
			compopt() { :; }
			_pmuflame
			printf '%s\n' "\${COMPREPLY[@]}"
		done
	END
	cd "$BATS_TEST_TMPDIR" || return
}

ask()
{
	run bash "$BATS_TEST_TMPDIR/ask" "$@"
}

@test "options" {
	ask 'pmuflame --s'
	[ "$(sort <<<"$output")" = $'--sandbox\n--set\n--source\n--source-map\n--stack-bytes\n--strict\n--summary' ]
	ask 'pmuflame list --j'
	[ "$output" = --json ]
	ask 'pmuflame render --sy' 'pmuflame render --call-graph d'
	[ "$output" = $'--symfs\ndwarf' ]
	ask 'pmuflame render --t'
	[ "$(sort <<<"$output")" = $'--threads\n--title' ]
}

@test "events come from pmuflame list, once a shell" {
	ask 'pmuflame --event c' 'pmuflame -e c'
	[ "$(sort -u <<<"$output")" = $'cache-misses\ncycles' ]
	[ "$(wc -l <bin/pmuflame.calls)" -eq 1 ]
}

@test "a later event of a list keeps what stands before it" {
	ask 'pmuflame -e cycles,cac'
	[ "$output" = cycles,cache-misses ]
	ask 'pmuflame -e {cycles,cac'
	[ "$output" = '{cycles,cache-misses' ]
}

@test "names with colons and presets survive readline's word breaks" {
	ask 'pmuflame -e sched:sch'
	[ "$output" = sched_switch ]
	ask 'pmuflame -e @cac'
	[ "$output" = cache ]
	ask 'pmuflame --event=cyc'
	[ "$output" = cycles ]
}

@test "values of options" {
	ask 'pmuflame --call-graph d'
	[ "$output" = dwarf ]
	ask 'pmuflame --unwinder li'
	[ "$output" = libunwind ]
	ask 'pmuflame --format svg,f'
	[ "$output" = svg,folded ]
	ask 'pmuflame render --format pp'
	[ "$output" = pprof ]
	ask 'pmuflame --inherit '
	[ "$output" = $'yes\nno' ]
}

@test "render takes files" {
	touch run.pb.gz
	ask 'pmuflame render ru' 'pmuflame render --title x -o out ru'
	[ "$output" = $'run.pb.gz\nrun.pb.gz' ]
}

@test "commands: ours first, then anything on PATH" {
	ask 'pmuflame doc'
	[[ $'\n'$output$'\n' == *$'\ndoctor\n'* ]]
	ask 'pmuflame pmf-tar'
	[ "$output" = pmf-target ]
	ask 'pmuflame -e cycles:u -F 99 -- pmf-tar'
	[ "$output" = pmf-target ]
}

@test "behind the command its own arguments are completed" {
	touch some-input-file
	ask 'pmuflame --event cycles:u pmf-target some-inp'
	[ "$output" = some-input-file ]
	ask 'pmuflame record pmf-target --s'
	[ -z "$output" ]
}

@test "sweep: its options, then anything on PATH" {
	ask 'pmuflame sweep --re' 'pmuflame sweep -e cac' 'pmuflame sweep --repeat 3 pmf-tar' 'pmuflame swe'
	[ "$(sort <<<"$output")" = $'--repeat\n--resume\ncache-misses\npmf-target\nsweep' ]
}

@test "top, diff and advise: their options, and what they count by" {
	ask 'pmuflame top --l' 'pmuflame top --s' 'pmuflame diff --no' 'pmuflame top --by m' 'pmuflame diff --by t' \
		'pmuflame advise --ru' 'pmuflame advise --as cache-m'
	[ "$output" = $'--lines\n--sort\n--no-svg\nmodule\ntotal\ntime\n--rules\ncache-misses' ]
}

@test "annotate: its options and files" {
	touch run.pb.gz
	ask 'pmuflame ann' 'pmuflame annotate --so' 'pmuflame annotate work ru'
	[ "$(sort <<<"$output")" = $'--source\n--source-map\nannotate\nrun.pb.gz' ]
}

@test "check: its options, files, and then a command" {
	touch base.json
	ask 'pmuflame check --sa' 'pmuflame check --baseline ba' 'pmuflame check -b s<1 pmf-tar'
	[ "$output" = $'--save-baseline\nbase.json\npmf-target' ]
}
