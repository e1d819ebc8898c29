# shellcheck shell=bash
# Tests inside the virtual machine. They are compiled outside, and all of them run in one start of the
# machine: one after the other, for a leak check must not see what another test has mounted.
# shellcheck disable=SC2154 # scripts/test makes $work

# vm_tests runs a selection of the tests, and notes them in the summary by group: vm_tests SELECTION.
#   all         the unit tests of all that depends on the kernel, and the black box
#   black-box   the black-box tests, with both snapshot drivers
#   quick       of both what depends most on kernel and cgroup version, in a few minutes
vm_tests() {
	local files=$work/vm groups group start=$SECONDS status=0
	rm -rf "$files"
	mkdir -p "$files"/{tests,results}
	case $1 in
	all) plan_units "${vm_units[@]}" && plan_black_box '.' ;;
	black-box) plan_black_box '.' ;;
	quick) plan_units "${vm_quick_units[@]}" && plan_unit ./snapshot/quota '^TestProject$' && plan_black_box "$vm_quick_scripts" "$vm_quick_copied" ;;
	*) die "no selection of tests $1" ;;
	esac
	echo "== the virtual machine runs $(wc -l <"$files/plan") test programs"
	LRUN_VM_FILES=$files scripts/vm --timeout "${LRUN_VM_TIMEOUT:-10800}" scripts/vm.d/run-tests || status=$?
	if ((status != 0)); then
		note 0 1 "the virtual machine: exit code $status ($((SECONDS - start)) s)"
	fi
	mapfile -t groups < <(cut -f 1 "$files/plan" | uniq)
	for group in "${groups[@]}"; do
		took=$(seconds "$group") tests "$group" vm_results "$group"
		[[ -n $(names "$group" pass) ]] || note 0 1 "$group: no test passed"
	done
	if [[ $1 != quick ]]; then
		check "the same tests with both drivers inside" same_tests "${groups[-2]}" "${groups[-1]}"
	fi
	cat "$files/results/machine"
}

# The packages whose unit tests depend on the kernel.
vm_units=(
	./internal/flock ./internal/inode ./internal/inroot ./internal/testutil ./internal/tree
	./layer/... ./mount/... ./overlay/... ./snapshot/... ./rootfs/... ./runtime/... ./volume/...
)
vm_quick_units=(./mount/... ./overlay/... ./runtime/cgroup/... ./snapshot/overlayfs/...)
vm_quick_scripts='^(TestAlone|TestScripts)$/^(apparmor-load|builtin-hello|run-apparmor|run-limits|run-privileges|run-filesystems|nothing-left|layers-untouched|nested)$'

# With the vfs driver, which depends on the kernel in little.
vm_quick_copied='^TestScripts$/^(builtin-hello|run-privileges|nothing-left)$'

# plan_units compiles the tests of packages and adds them to the plan.
plan_units() {
	local package
	for package in $(go list "$@"); do
		plan_unit "$package" . || return 1
	done
}

# plan_unit compiles the tests of a package and adds those that match to the plan: plan_unit PACKAGE PATTERN.
plan_unit() {
	local package binary
	package=$(go list "$1")
	binary=${package//\//_}
	GOARCH=amd64 go test -c -o "$files/tests/$binary" "$package" >"$files/log" || { cat "$files/log" && return 1; }
	[[ ! -f $files/tests/$binary ]] || plan "unit tests inside" "$package" "$binary" '' "-test.run=$2"
}

# plan_black_box compiles the black-box tests and adds those that match to the plan, once for each driver: plan_black_box PATTERN
# [PATTERN-WITH-VFS].
plan_black_box() {
	local driver pattern=$1
	GOARCH=amd64 go test -c -o "$files/tests/integration" ./integration
	for driver in overlayfs vfs; do
		plan "black-box tests inside with $driver" "$(go list ./integration)" integration "LRUN_TEST_DRIVER=$driver" "-test.run=$pattern"
		pattern=${2:-$1}
	done
}

# plan adds a run of a test program to the plan: plan GROUP PACKAGE PROGRAM VARIABLE=VALUE ARGUMENT.
plan() {
	local directory=${2#"$(go list -m)"}
	echo "$1	$2	.$directory	$3	${4:-LC_ALL=C.UTF-8}	${5:--test.run=.}" >>"$files/plan"
}

# seconds prints how long a group of tests took inside.
seconds() {
	awk -F '\t' -v group="$1" '$1 == group { sum += $2 } END { print sum + 0 }' "$files/results/seconds"
}

# vm_results prints the results of a group of tests as "go test -json" does, and fails if one has failed.
vm_results() {
	local group package number=0 status=0 code
	while IFS=$'\t' read -r group package _; do
		number=$((number + 1))
		[[ $group == "$1" ]] || continue
		go tool test2json -t -p "$package" <"$files/results/$number.log" || status=1
		code=$(cat "$files/results/$number.exit" 2>/dev/null || echo none)
		if [[ $code != 0 ]]; then
			jq -cn --arg package "$package" --arg code "$code" '{Action: "output", Package: $package, Output: "\($package): exit code \($code)\n"}'
			status=1
		fi
	done <"$files/plan"
	return "$status"
}
