# shellcheck shell=bash
# How the results of tests are counted and shown. It needs $work, a directory for logs.
# shellcheck disable=SC2154 # the script that sources this makes it

passed=0 failed=0 summary=()

# note adds a line to the summary: note PASSED FAILED TEXT.
note() {
	passed=$((passed + $1)) failed=$((failed + $2))
	summary+=("$(printf '%-4s  %s' "$([[ $2 == 0 ]] && echo ok || echo FAIL)" "$3")")
	echo "== ${summary[-1]}"
}

# check runs a command that passes or fails as a whole: check NAME COMMAND…
check() {
	local name=$1 start=$SECONDS
	shift
	echo "== $name"
	if "$@"; then note 0 0 "$name ($((SECONDS - start)) s)"; else note 0 1 "$name ($((SECONDS - start)) s)"; fi
}

# names lists the tests in the log of a run that ended as $2: names NAME pass.
names() {
	jq -rR --arg action "$2" 'fromjson? | select(.Action == $action and .Test) | "\(.Package) \(.Test)"' "$work/$1.json"
}

# failures prints what failed tests and packages printed in the run NAME.
failures() {
	jq -nRrj '[inputs | fromjson?] as $events
		| ($events | map(select(.Action == "fail") | {key: "\(.Package) \(.Test)", value: true}) | from_entries) as $failed
		| $events[] | select(.Output)
		| select(.Action == "build-output" or $failed["\(.Package) \(.Test)"])
		| .Output' "$work/$1.json"
}

# tests runs a command that is, or ends in, "go test -json": tests NAME COMMAND… If it only prints
# results, $took tells in how many seconds they came about.
tests() {
	local name=$1 start=$SECONDS status=0 good bad skipped
	shift
	echo "== $name"
	"$@" >"$work/$name.json" || status=$?
	good=$(names "$name" pass | wc -l) bad=$(names "$name" fail | wc -l) skipped=$(names "$name" skip | wc -l)
	if ((status != 0 && bad == 0)); then
		bad=1 # it did not build, or died
	fi
	((bad == 0)) || failures "$name"
	[[ -z ${LRUN_TEST_ROOT:-} ]] || names "$name" skip | sed 's/^/skipped: /'
	note "$good" "$bad" "$name: $good passed, $bad failed, $skipped skipped (${took:-$((SECONDS - start))} s)"
}

# same_tests fails unless two runs passed the same tests, and at least one.
same_tests() {
	[[ -n $(names "$1" pass) ]] || { echo "no black-box test passed" && return 1; }
	diff <(names "$1" pass | sort) <(names "$2" pass | sort)
}

# whole_suite fails unless, in the run $1, exactly $3 subtests of the test $2 passed.
whole_suite() {
	local n
	n=$(names "$1" pass | grep -c " $2/" || true)
	((n == $3)) || { echo "$n subtests of $2 passed, not $3" && return 1; }
}

# finish prints the summary, and fails when a test has.
finish() {
	echo
	printf '%s\n' "${summary[@]}"
	echo "took $((SECONDS / 60)) min $((SECONDS % 60)) s"
	echo "$passed passed, $failed failed"
	((failed == 0))
}
