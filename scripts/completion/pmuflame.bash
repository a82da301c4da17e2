# bash completion for pmuflame(1)

# Set $_pmuflame_events to the names that --event takes. `pmuflame list` tries every event, so ask
# once a shell.
_pmuflame_load_events()
{
	[ -z "${_pmuflame_events+set}" ] || return
	_pmuflame_events=$("$1" list --json 2>/dev/null </dev/null |
		grep -o '"name": *"[^"\\]*"' | cut -d '"' -f 4)
	_pmuflame_events+=$'\n@default\n@cache\n@branch\n@tlb\n@software'
}

# Complete the last of the events in $cur; what stands before it is kept.
_pmuflame_complete_event()
{
	local word=$cur before=
	_pmuflame_load_events "$1"
	case $word in
	*[,\{]*)
		before=${word%"${word##*[,\{]}"}
		word=${word##*[,\{]}
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -P "$before" -W "$_pmuflame_events" -- "$word")
	# More events may follow.
	compopt -o nospace
	# readline replaces only what stands behind the last of its word breaks.
	before=${cur%"${cur##*[:=@]}"}
	COMPREPLY=("${COMPREPLY[@]#"$before"}")
}

_pmuflame_complete_formats()
{
	local before=
	[[ $cur != *,* ]] || before=${cur%"${cur##*,}"}
	mapfile -t COMPREPLY < <(compgen -P "$before" -W 'svg html folded speedscope callgrind json pprof' -- "${cur##*,}")
}

# The value of option $2, if it takes one. False for an option that stands alone.
_pmuflame_complete_value()
{
	case $2 in
	-e | --event) _pmuflame_complete_event "$1" ;;
	-o | --output | --summary | --raw) _filedir ;;
	--from | --baseline | --junit | --markdown) _filedir ;;
	--symfs | --source | --source-map) _filedir -d ;;
	--call-graph) mapfile -t COMPREPLY < <(compgen -W 'auto dwarf fp none' -- "$cur") ;;
	--unwinder) mapfile -t COMPREPLY < <(compgen -W 'auto cfi libunwind fp' -- "$cur") ;;
	--python | --sandbox) mapfile -t COMPREPLY < <(compgen -W 'auto yes no' -- "$cur") ;;
	--timers) mapfile -t COMPREPLY < <(compgen -W 'auto tasks cpus' -- "$cur") ;;
	--jit) mapfile -t COMPREPLY < <(compgen -W 'auto off' -- "$cur") ;;
	--names) mapfile -t COMPREPLY < <(compgen -W 'auto short full' -- "$cur") ;;
	--recursion | --clones) mapfile -t COMPREPLY < <(compgen -W 'fold keep' -- "$cur") ;;
	--container | --inherit | --python-lines | --interpreter | --inline | --threads)
		mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$cur")
		;;
	--format) _pmuflame_complete_formats ;;
	-F | -c | --delay | --duration | --rotate | --keep | --set | --vary | --repeat | -r | \
		--stack-bytes | --focus | --ignore | --min-width | --title | -b | --budget | --max-repeat) COMPREPLY=() ;;
	-p | --pid) mapfile -t COMPREPLY < <(compgen -W "$(ps -eo pid=)" -- "$cur") ;;
	-t | --tid | -C | --cpu) COMPREPLY=() ;;
	--cgroup) _filedir -d ;;
	*) return 1 ;;
	esac
}

# Fill words, starts (where each begins in COMP_WORDS), cword, cur and prev: readline splits words at
# colons, = and @ too, of which event names are full.
_pmuflame_join_words()
{
	local line=$COMP_LINE raw
	for ((raw = 0; raw <= COMP_CWORD; raw++)); do
		if [ "$raw" -eq 0 ] || [[ $line == [[:blank:]]* ]]; then
			words+=('')
			starts+=("$raw")
			line=${line#"${line%%[![:blank:]]*}"}
		fi
		words[-1]+=${COMP_WORDS[raw]}
		line=${line#"${COMP_WORDS[raw]}"}
	done
	cword=$((${#words[@]} - 1))
	cur=${words[cword]}
	prev=${words[cword - 1]}
}

_pmuflame()
{
	local cur prev words=() starts=() cword i=1
	local record_options='--pid --tid --all-cpus --cgroup --cpu -p -t -a -C --event -F -c -o --delay --duration --call-graph --unwinder --stack-bytes
		--inherit --timers --container --python --python-lines --interpreter --inline --sandbox --jit --readers --format --set
		--strict --focus --ignore --names --recursion --clones --threads --min-width --reverse
		--source --source-map --title --summary --raw --no-command --rotate
		--keep -q -v --help --version'
	local render_options='-o --format --title --focus --ignore --names --recursion --clones
		--threads --min-width --reverse --symfs --call-graph --inline --sandbox
		--source --source-map --help'
	_pmuflame_join_words
	COMPREPLY=()

	case ${words[1]-} in
	list | doctor)
		if [ "$cword" -gt 1 ]; then
			case $cur in
			-*) mapfile -t COMPREPLY < <(compgen -W '--json --help --targets' -- "$cur") ;;
			*) [ "${words[1]}" = doctor ] || _pmuflame_complete_event "${words[0]}" ;;
			esac
			return
		fi
		;;
	view)
		if [ "$cword" -gt 1 ]; then
			_filedir '@(html|svg)'
			return
		fi
		;;
	render)
		if [ "$cword" -gt 1 ]; then
			case $cur in
			--*=*) ;;
			-*) mapfile -t COMPREPLY < <(compgen -W "$render_options" -- "$cur") ;;
			*) _pmuflame_complete_value "${words[0]}" "$prev" || _filedir ;;
			esac
			return
		fi
		;;
	top | diff | annotate)
		if [ "$cword" -gt 1 ]; then
			local by='function line module thread process'
			local options='--event --by --lines --sort --rows --ratio --focus --ignore
				--names --recursion --clones --csv --json --help'
			if [ "${words[1]}" = diff ]; then
				by='run total time work='
				options='--by --event --rows -o --no-svg --focus --ignore --names --recursion
					--clones --json --help'
			elif [ "${words[1]}" = annotate ]; then
				options='--event --all --self --context --source --source-map --focus --ignore
					--names --recursion --clones --json --help'
			fi
			case $prev,$cur in
			*,--*=*) ;;
			*,-*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur") ;;
			--by,*) mapfile -t COMPREPLY < <(compgen -W "$by" -- "$cur") ;;
			--sort,*) mapfile -t COMPREPLY < <(compgen -W 'self total' -- "$cur") ;;
			--rows,* | -n,* | --ratio,* | --context,*) ;;
			*) _pmuflame_complete_value "${words[0]}" "$prev" || _filedir ;;
			esac
			return
		fi
		;;
	advise)
		if [ "$cword" -gt 1 ]; then
			case $prev,$cur in
			*,--*=*) ;;
			--as,*) _pmuflame_complete_event "${words[0]}" ;;
			*,-*) mapfile -t COMPREPLY < <(compgen -W '--pieces --rules --as --json --help' -- "$cur") ;;
			-n,* | --pieces,*) ;;
			*) _filedir ;;
			esac
			return
		fi
		;;
	record) [ "$cword" -eq 1 ] || i=2 ;;
	sweep)
		if [ "$cword" -gt 1 ]; then
			i=2
			record_options='--event --all --repeat --vary -o --resume --strict -F -c --call-graph
				--duration -q -v --help'
		fi
		;;
	check)
		if [ "$cword" -gt 1 ]; then
			i=2
			record_options='--budget --from --baseline --save-baseline --repeat --max-repeat -o
				--junit --markdown --help'
		fi
		;;
	esac

	# Is the word that is typed still ours, or the command's?
	while [ "$i" -lt "$cword" ]; do
		case ${words[i]} in
		--)
			i=$((i + 1))
			break
			;;
		-p | -t | -C | --pid | --tid | --cpu | --cgroup | -e | -F | -c | -o | --event | --delay | --duration | --call-graph | --unwinder | --stack-bytes | \
			--inherit | --timers | --container | --python | --python-lines | --interpreter | --inline | --sandbox | --jit | --readers | --format | \
			--focus | --ignore | --names | --recursion | --clones | --threads | --min-width | \
			--title | --summary | --raw | --set | --source | --source-map | \
			-r | --vary | --repeat | -b | --budget | --from | --baseline | --max-repeat | \
			--junit | --markdown) i=$((i + 2)) ;;
		-*) i=$((i + 1)) ;;
		*) break ;;
		esac
	done
	if [ "$i" -lt "$cword" ]; then
		_command_offset "${starts[i]}"
		return
	fi
	if [[ $cur == --*=* ]]; then
		local option=${cur%%=*}
		cur=${cur#*=}
		_pmuflame_complete_value "${words[0]}" "$option"
		return
	fi
	if [ "$i" -gt "$cword" ]; then
		_pmuflame_complete_value "${words[0]}" "$prev"
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$record_options" -- "$cur")
	else
		_command_offset "${starts[i]}"
		[ "$cword" -ne 1 ] || mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY \
			< <(compgen -W 'record list doctor render top annotate diff sweep check advise view init all' -- "$cur")
	fi
}

complete -F _pmuflame pmuflame
