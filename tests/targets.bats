#!/usr/bin/env bats
# Named targets: pmuflame.ini on the command line.
bats_require_minimum_version 1.5.0

load live

setup()
{
	live_setup
	mkdir -p work/deep
	cat >work/pmuflame.ini <<-'END'
		[target spin]
		command = ratio --seconds 0.3
		folder = deep
		events = cpu-clock
		rate = 1999hz
		env.GREETING = hello
		setup = echo "$GREETING from setup"
		  pwd >setup.txt
		teardown = pwd >teardown.txt
		[target says]
		command = printf '%s|' "$GREETING" && printf '%s|'
		events = @mine
		env.GREETING = a b
		[preset mine]
		events = cpu-clock,page-faults@1
	END
	chmod 644 work/pmuflame.ini
	cd work/deep || return
}

@test "a target runs in its folder, with its events, between setup and teardown" {
	cd .. || return
	run --separate-stderr "$PMUFLAME" -o out/ --summary s.json spin
	[ "$status" -eq 0 ]
	# shellcheck disable=SC2154 # run sets it
	grep -q 'hello from setup' <<<"$stderr"
	[[ "$output" != *setup* ]]
	[ "$(cat deep/setup.txt)" = "$PWD/deep" ]
	[ "$(cat deep/teardown.txt)" = "$PWD/deep" ]
	[ -s out/spin.cpu-clock.svg ]
	[ "$(jq -r '.events[0].freq_hz' s.json)" = 1999 ]
	# The shell has become the program, and is in no stack.
	"$PMUFLAME" -q --format folded -o out/ spin >spin.txt
	run ! grep -E '^ratio;.*(dash|/sh)' out/spin.cpu-clock.folded
	grep -q '^ratio;.*cost_three' out/spin.cpu-clock.folded
}

@test "the command line comes first, and arguments follow the command" {
	run --separate-stderr "$PMUFLAME" -q -o out/ says 'x y' z
	[ "$status" -eq 0 ]
	[ "$output" = 'a b|x y|z|' ]
	[ -s out/says.page-faults.svg ]
	"$PMUFLAME" -q -e cpu-clock -o other/ says >text
	[ ! -e other/says.page-faults.svg ]
	"$PMUFLAME" -q -e @mine -o third/ true
	[ -s third/true.page-faults.svg ]
}

@test "all runs every target, and a slash means a command" {
	run --separate-stderr "$PMUFLAME" -q -o out/ all
	[ "$status" -eq 0 ]
	[ -s out/spin.cpu-clock.svg ]
	[ -s out/says.cpu-clock.svg ]
	run -127 "$PMUFLAME" -q -o out/ ./spin
}

@test "a setup that fails is a sentence, and nothing runs" {
	sed -i 's/^setup = .*/setup = exit 3/' ../pmuflame.ini
	run "$PMUFLAME" -q -o out/ spin
	[ "$status" -eq 125 ]
	[[ "$output" = *"setup of target 'spin' failed with status 3"* ]]
	[ ! -e teardown.txt ]
}

@test "a file that others may write is not used, and one that makes no sense says where" {
	chmod 666 ../pmuflame.ini
	run -127 "$PMUFLAME" -e cpu-clock -o out/ spin
	[[ "$output" = *"chmod go-w"* ]]
	chmod 644 ../pmuflame.ini
	echo 'speed = 3' >>../pmuflame.ini
	run "$PMUFLAME" -q spin
	[ "$status" -eq 125 ]
	[[ "$output" = *"pmuflame.ini:"*"no 'speed'"* ]]
}

@test "list --targets and init" {
	run "$PMUFLAME" list --targets
	[ "$status" -eq 0 ]
	[[ "$output" = *"spin"*"ratio --seconds 0.3"* ]]
	[ "$("$PMUFLAME" list --targets --json | jq -r '.[1].name')" = says ]
	mkdir fresh
	cd fresh || return
	(umask 002 && "$PMUFLAME" init)
	[ "$(stat -c %a pmuflame.ini)" = 644 ]
	run "$PMUFLAME" list --targets
	[[ "$output" = backtest* ]]
	run "$PMUFLAME" init
	[ "$status" -eq 125 ]
	[[ "$output" = *"nothing was changed"* ]]
}

@test "init has git ignore what runs write, and nothing else" {
	git init -q tree
	mkdir -p tree/research plain
	cd plain
	"$PMUFLAME" init
	[ ! -e .gitignore ]
	cd ../tree/research
	# The last line is not ended, and one pattern is there.
	printf '*.pb.gz\nmine' >.gitignore
	run "$PMUFLAME" init
	[ "$status" -eq 0 ]
	[[ "$output" = *".gitignore names what runs write"* ]]
	[ "$(grep -cx -e '\*.pb.gz' -e mine .gitignore)" = 2 ]
	cp .gitignore before
	rm pmuflame.ini
	"$PMUFLAME" init
	cmp before .gitignore
	# A run, the run after it, and files that are the user's.
	sed -i 's/^command = .*/command = true/; s/^events = .*/events = cpu-clock,page-faults@1/' pmuflame.ini
	"$PMUFLAME" -q --format svg,html,folded,speedscope,callgrind backtest
	"$PMUFLAME" -q --format svg,html,folded,speedscope,callgrind backtest
	touch logo.svg notes.html
	rm before
	run git status --porcelain -uall .
	[ "$output" = "$(printf '?? %s\n' research/{.gitignore,logo.svg,notes.html,pmuflame.ini})" ]
}

@test "init never writes .gitignore through a link" {
	git init -q tree
	cd tree
	for other in 'ln -s ../other' 'mkfifo'; do
		$other .gitignore
		run "$PMUFLAME" init
		[ "$status" -eq 0 ]
		[[ "$output" = *"not told to ignore what runs write: '.gitignore' is "* ]]
		[ ! -e ../other ]
		rm .gitignore pmuflame.ini
	done
}

@test "--set takes the place of {KEY}, in a command and in a target" {
	cat >pmuflame.ini <<-'END'
		[target varied]
		command = printf '%s|' {word} "{plain}" "$SAID"
		setup = echo {plain} >setup.txt
		events = cpu-clock
		env.SAID = say {word}
	END
	chmod 644 pmuflame.ini
	# shellcheck disable=SC2016 # nobody is to expand it
	run --separate-stderr "$PMUFLAME" -q -o out/ --set 'word=it'"'"'s $HOME' --set plain=7 \
		varied '<{plain}>' '{other}'
	[ "$status" -eq 0 ]
	[ "$output" = "it's \$HOME|7|say it's \$HOME|<7>|{other}|" ]
	[ "$(cat setup.txt)" = 7 ]
	run --separate-stderr "$PMUFLAME" -q -e cpu-clock -o out/ --set a=b -- printf '%s|' '{a}' 'x{a}'
	[ "$output" = 'b|xb|' ]
	"$PMUFLAME" render --format svg -o out/again out/printf.pb.gz
	grep -q 'printf .%s|. b xb' out/again.cpu-clock.svg
	run "$PMUFLAME" -e cpu-clock -o out/ --set typo=1 true
	[[ "$output" == *"--set typo=1 changes nothing: 'true' does not say {typo}"* ]]
	run -125 "$PMUFLAME" --set '=1' true
	[[ "$output" == *'no KEY=VALUE'* ]]
}
