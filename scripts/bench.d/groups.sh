# shellcheck shell=bash
# The control groups of a bench. Its processes are in BENCH_GROUP/self, containers beside it, so that
# what they all take can be read in one place, and whatever is left can be found.

# accounting prints where the hierarchy that accounts CPU time is mounted.
accounting() {
	if [[ $(stat -f -c %T /sys/fs/cgroup) == cgroup2fs ]]; then
		echo /sys/fs/cgroup
	else
		awk -F ' - ' '$2 ~ /^cgroup / && $2 ~ /,cpuacct(,|$)/ { split($1, f, " "); print f[5]; exit }' /proc/self/mountinfo
	fi
}

BENCH_GROUP=$(accounting)/lrun-bench
export BENCH_GROUP

# enter_group puts this shell into the bench's group.
enter_group() {
	mkdir -p "$BENCH_GROUP/self"
	echo $$ >"$BENCH_GROUP/self/cgroup.procs"
}

# group_pids lists the processes of the bench.
group_pids() {
	find "$BENCH_GROUP" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un
}

# remove_groups removes the bench's groups, which are empty, from every hierarchy.
remove_groups() {
	find /sys/fs/cgroup -depth -type d -path '*/lrun-bench*' -exec rmdir {} +
}
