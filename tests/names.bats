#!/usr/bin/env bats
# What functions are called: short labels, clones, recursion.

bats_require_minimum_version 1.5.0

setup()
{
	cd "${BATS_TEST_TMPDIR:?}" || return
	cat >names.folded <<-'END'
		main;void ns::sort<std::vector<int, std::allocator<int> > >(int) 5
		main;ns::get(int) 4
		main;ns::get(char) 3
		main;work;work.part.0;work;work.part.0 20
		main;work.constprop.0 10
	END
}

names() { "${PMUFLAME:?}" top --json "$@" names.folded | jq -r '.events[0].rows[] | "\(.name) \(.total)"'; }

@test "names: tables and pictures are short, JSON and files for other programs are not" {
	"$PMUFLAME" top names.folded >text
	grep -q '  ns::sort<…>$' text
	grep -q '  ns::get(int)$' text
	names | grep -Fx 'void ns::sort<std::vector<int, std::allocator<int> > >(int) 5'
	"$PMUFLAME" render --format svg,folded -o ./ names.folded
	grep -q '>ns::sort<…><\|>ns::sort&lt;…&gt;<' names.count.svg
	grep -qF 'main;void ns::sort<std::vector<int, std::allocator<int> > >(int) 5' names.count.folded
	"$PMUFLAME" render --names short --format folded -o short names.folded
	grep -qF 'main;ns::sort<…> 5' short.count.folded
	"$PMUFLAME" top --names full names.folded | grep -q '  void ns::sort<std::vector'
	[ "$(names --focus '^ns::sort<…>$' | grep -c sort)" = 1 ]
	[ "$(names --focus '^void ns::sort' | grep -c sort)" = 1 ]
}

@test "names: clones are their function, unless they are to be kept" {
	names | grep -x 'work 30'
	run ! grep 'part\|constprop' <(names)
	[ "$(names --clones keep | grep -c '^work')" = 3 ]
	names --clones keep | grep -x 'work.constprop.0 10'
}

@test "names: a function that calls itself is one frame if asked, and costs the same" {
	"$PMUFLAME" render --format folded -o ./ names.folded
	grep -x 'main;work;work 20' names.count.folded
	"$PMUFLAME" render --recursion fold --format folded -o ./ names.folded
	grep -x 'main;work 30' names.count.folded
	names --recursion fold | grep -x 'work 30'
}

@test "names: values that are none are refused" {
	for option in --names --recursion --clones; do
		run -2 "$PMUFLAME" top "$option" maybe names.folded
		[[ $output == *"$option 'maybe'"* ]]
	done
}
