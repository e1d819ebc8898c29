# shellcheck shell=bash
# What scripts/bench leaves behind: nothing but its images, its results and the packages it installed.

# stop_daemons ends the daemons in the order in which they were started, by the pids that measure has noted.
stop_daemons() {
	local file pid
	for file in "$BENCH_DIR"/pids/*; do
		[[ -f $file ]] || continue
		pid=$(<"$file")
		if grep -qs /lrun-bench "/proc/$pid/cgroup"; then # and not another one with that number
			kill "$pid" 2>/dev/null || true
			for _ in {1..100}; do
				kill -0 "$pid" 2>/dev/null || break
				sleep 0.1
			done
		fi
		rm -f "$file"
	done
}

# kill_all kills whatever is still in the bench's groups: shims, monitors, containers.
kill_all() {
	local pids
	for _ in {1..100}; do
		mapfile -t pids < <(group_pids)
		((${#pids[@]} > 0)) || return 0
		kill -KILL "${pids[@]}" 2>/dev/null || true
		sleep 0.1
	done
	echo "${0##*/}: these do not end: ${pids[*]}" >&2
	return 1
}

# stop_stale ends and removes what a bench has left that was killed.
stop_stale() {
	stop_daemons
	[[ ! -d $BENCH_GROUP ]] || kill_all
	remove_groups
	rm -f "$BENCH_DIR"/{fs,xfs,btrfs}.img
}

# finish ends everything that was started. Mounts and loop devices vanish with the namespace that they are in.
finish() {
	local status=$?
	trap '' INT TERM HUP
	trap - EXIT
	if [[ -n ${inner:-} ]]; then
		kill -TERM -- "-$inner" 2>/dev/null || true
		wait "$inner" || true
	fi
	stop_stale || status=1
	allow_services
	exit "$status"
}
