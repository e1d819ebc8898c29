# shellcheck shell=bash
# What is measured. A section is a table: its commands take turns.
# shellcheck source=scripts/bench.d/tools.sh
source scripts/bench.d/tools.sh

busybox=bench.test/busybox:1
big=bench.test/big:1

# add prints a command for the timer: add [-b BEFORE] [-a AFTER] [-n NAMESPACE] [-s SYNCED] [-c COPIES] WORK TOOL COMMAND...
# BEFORE and AFTER are not timed. {i} becomes a number that no other run has, {n} one that no other copy has.
add() {
	local before='' after='' namespace='' sync='' copies=1 o OPTIND=1
	while getopts b:a:n:s:c: o; do
		case $o in
		b) before=$OPTARG ;;
		a) after=$OPTARG ;;
		n) namespace=$OPTARG ;;
		s) sync=$OPTARG ;;
		c) copies=$OPTARG ;;
		*) die "add: $*" ;;
		esac
	done
	shift $((OPTIND - 1))
	jq -nc --arg group "$1" --arg name "$2" --arg before "$before" --arg after "$after" --arg namespace "$namespace" \
		--arg sync "$sync" --argjson copies "$copies" '{command: {$group, $name, argv: $ARGS.positional,
			$before, $after, $namespace, $sync, $copies}}' --args -- "${@:3}"
}

# want prints a target of lrun: want WORK wall|cpu|memory LIMIT [FACTOR TOOL [ITS WORK]], which is LIMIT, or
# FACTOR times the median of TOOL plus LIMIT.
want() {
	jq -nc --arg group "$1" --arg metric "$2" --argjson add "$3" --argjson factor "${4:-0}" --arg ref "${5:-}" \
		--arg ref_group "${6:-$1}" '{target: {$group, $metric, $add, $factor, $ref, $ref_group}}'
}

# timed measures what it reads: timed NAME ROUNDS TITLE.
timed() {
	local rounds=$2 options=()
	((rounds >= 10)) || options=(-warmups 1 -memory 1) # they take long
	if [[ -n $BENCH_QUICK ]]; then
		rounds=$((rounds < 10 ? 1 : 3))
		options=(-warmups 1 -memory 1 -attempts 1)
	fi
	(($2 > 1)) || options=(-warmups 0 -memory 0 -attempts 1) # minutes each, for some
	"$BENCH_DIR/bin/timer" -title "$3" -rounds "$rounds" -cgroups "$BENCH_GROUP:${BENCH_GROUP%-bench}" -scratch /run/bench \
		-results "$BENCH_DIR/results/$1.json" "${options[@]}" | tee -a "$BENCH_PAGE"
}

# run_commands adds a run of true in the image $2 by every tool that knows images, as the work $1; further
# arguments are options of add.
run_commands() {
	local work=$1 image=$2
	shift 2
	add "$@" "$work" lrun "${lrun[@]}" run --rm --network none "$image" true
	add "$@" -n "$CRUN_NS" "$work" podman "${podman[@]}" run --rm --network none --cgroup-parent /lrun-bench/podman "$image" true
	add "$@" "$work" "ctr 1.6" "${ctr[@]}" run --rm --cgroup '/lrun-bench/ctr-{i}-{n}' "$image" 't{i}-{n}' true
	add "$@" "$work" "docker 20.10" "${docker[@]}" run --rm --network none "$image" true
}

# runtime_commands adds a run of true by the OCI runtimes alone, on bundles that are ready.
runtime_commands() {
	local work=$1
	shift
	add "$@" -n "$CRUN_NS" "$work" "crun alone" /usr/bin/crun --root /run/bench/crun run --bundle "$FS/bundles/crun-{n}" 't{i}-{n}'
	add "$@" "$work" "runc alone" /usr/sbin/runc --root /run/bench/runc run --bundle "$FS/bundles/runc-{n}" 't{i}-{n}'
}

section_run() {
	local work=run
	load busybox
	{
		add "$work" unshare /usr/bin/unshare -muipnf chroot "$FS/rootfs" /bin/true
		add "$work" bwrap /usr/bin/bwrap --unshare-all --ro-bind "$FS/lower" / --proc /proc --dev /dev /bin/true
		run_commands "$work" "$busybox"
		runtime_commands "$work"
		want "$work" wall 0 2.5 unshare
		want "$work" wall 0 1 "crun alone"
		want "$work" cpu 12
		want "$work" cpu 0 1.62 "crun alone" # 12 ms beside its 7.4
		want "$work" memory 16
	} | timed run 60 "\`run --rm\` of \`true\` in busybox, no network"
}

section_layers() {
	load busybox
	load big
	"${lrun[@]}" load -q -i "$FS/images/deep.tar" # the others cannot stack so many
	{
		add "run, 1 layer" lrun "${lrun[@]}" run --rm --network none "$busybox" true
		run_commands "run, 11 layers" "$big"
		add "run, 500 layers" lrun "${lrun[@]}" run --rm --network none bench.test/deep:1 true
		want "run, 11 layers" wall 2 1 lrun "run, 1 layer"
	} | timed layers 20 "The same in an image of 11 layers, and in one of 500"
}

section_userns() {
	local work="run --userns auto"
	load busybox
	{
		add "run" lrun "${lrun[@]}" run --rm --network none "$busybox" true
		add "$work" lrun "${lrun[@]}" run --rm --network none --userns auto "$busybox" true
		add -n "$CRUN_NS" "$work" podman "${podman[@]}" run --rm --network none --cgroup-parent /lrun-bench/podman \
			--uidmap 0:1800000000:65536 --gidmap 0:1800000000:65536 "$busybox" true
		want "$work" wall 5 1 lrun "run"
	} | timed userns 20 "The same in a user namespace of its own"
}

section_create() {
	local c
	load busybox
	{
		c="${lrun[*]} create --name c{i} --network none $busybox true"
		create_commands "" lrun "$c" "${lrun[*]} rm c{i}"
		c="${podman[*]} create --name c{i} --network none --cgroup-parent /lrun-bench/podman $busybox true"
		create_commands "$CRUN_NS" podman "$c" "${podman[*]} rm c{i}"
		create_commands "" "ctr 1.6" "${ctr[*]} containers create $busybox c{i} true" "${ctr[*]} containers rm c{i}"
		create_commands "" "docker 20.10" "${docker[*]} create --name c{i} --network none $busybox true" "${docker[*]} rm c{i}"
		want create wall 10
		want create wall 0 0.47 "ctr 1.6" # 10 ms beside its 21
		want rm wall 8
		want rm wall 0 0.72 "ctr 1.6" # 8 ms beside its 11
	} | timed create 20 "\`create\` and \`rm\`"
}

# create_commands adds making and removing a container: create_commands NAMESPACE TOOL CREATE REMOVE.
create_commands() {
	local create remove
	read -ra create <<<"$3"
	read -ra remove <<<"$4"
	add -n "$1" -a "$4" create "$2" "${create[@]}"
	add -n "$1" -b "$3" rm "$2" "${remove[@]}"
}

section_parallel() {
	local work="50 runs"
	load busybox
	{
		run_commands "$work" "$busybox" -c 50
		runtime_commands "$work" -c 50
	} | timed parallel 5 "50 containers started at once, until all are gone"
}

section_load() {
	local work=load file=$FS/images/big.tar layers t=$FS/tmp/load store=(--root "$FS/buildah" --runroot /run/bench/buildah)
	layers="$FS/images/base.layer $FS/images/small*.layer"
	load big # so that there is something to remove before each run
	{
		add -s "$FS" -b "rm -rf $t; mkdir $t; sync -f $FS" "$work" "tar, layer by layer" \
			/bin/bash -c "for l in $layers; do mkdir $t/\${l##*/} && tar -C $t/\${l##*/} -xf \$l; done"
		add -s "$FS" -b "${lrun[*]} rmi $big; sync -f $FS" "$work" lrun "${lrun[@]}" load -q -i "$file"
		add -s "$FS" -b "${podman[*]} rmi $big; sync -f $FS" -n "$CRUN_NS" "$work" podman "${podman[@]}" load -q -i "$file"
		add -s "$FS" -b "buildah ${store[*]} rmi -a; sync -f $FS" \
			"$work" buildah /usr/bin/buildah "${store[@]}" pull -q "docker-archive:$file"
		add -s "$FS" -b "${docker[*]} rmi $big; sync -f $FS" "$work" "docker 20.10" "${docker[@]}" load -q -i "$file"
		add -s "$FS" -b "${ctr[*]} images rm --sync $big; sync -f $FS" "$work" "ctr 1.6" "${ctr[@]}" images import "$file"
		add -s "$FS" -b "rm -rf $t-u; mkdir $t-u; sync -f $FS" "$work" "skopeo and umoci" /bin/sh -c \
			"skopeo --insecure-policy copy -q docker-archive:$file oci:$t-u/o:1 && umoci unpack --image $t-u/o:1 $t-u/b"
	} | timed load 5 "\`load\` of the image of 11 layers"
	rm -rf "$t"*
}

section_list() {
	local k
	load busybox
	load hundred
	for ((k = 0; k < 100; k++)); do
		"${lrun[@]}" create --name "h$k" --network none "$busybox" true
		in_crun_ns "${podman[@]}" create --name "h$k" --network none --cgroup-parent /lrun-bench/podman "$busybox" true
		"${ctr[@]}" containers create "$busybox" "h$k" true
		"${docker[@]}" create --name "h$k" --network none "$busybox" true
	done >/dev/null
	{
		list_commands "ps -a" "ps -a" "containers ls"
		list_commands images images "images ls"
		want "ps -a" wall 8
		want "ps -a" wall 0 0.66 "ctr 1.6" # 8 ms beside its 12
		want images wall 8
		want images wall 0 0.28 "docker 20.10" # 8 ms beside its 28
	} | timed list 20 "\`ps -a\` of 100 containers, \`images\` of 101 images"
}

# list_commands adds a listing by every tool: list_commands WORK ARGUMENTS CTR-ARGUMENTS.
list_commands() {
	local args ctr_args
	read -ra args <<<"$2"
	read -ra ctr_args <<<"$3"
	add "$1" lrun "${lrun[@]}" "${args[@]}"
	add -n "$CRUN_NS" "$1" podman "${podman[@]}" "${args[@]}"
	add "$1" "ctr 1.6" "${ctr[@]}" "${ctr_args[@]}"
	add "$1" "docker 20.10" "${docker[@]}" "${args[@]}"
}

# section_changes is about a container in which one file was added to the 11 layers of its image.
section_changes() {
	load big
	"${lrun[@]}" run --name changed --network none "$big" touch /changed
	in_crun_ns "${podman[@]}" run --name changed --network none --cgroup-parent /lrun-bench/podman "$big" touch /changed
	"${docker[@]}" run --name changed --network none "$big" touch /changed
	{
		add diff lrun "${lrun[@]}" diff changed
		add -n "$CRUN_NS" diff podman "${podman[@]}" diff changed
		add diff "docker 20.10" "${docker[@]}" diff changed
		add -a "${lrun[*]} rmi c{i}" commit lrun "${lrun[@]}" commit changed "c{i}"
		add -a "${podman[*]} rmi c{i}" -n "$CRUN_NS" commit podman "${podman[@]}" commit -q changed "c{i}"
		add -a "${docker[*]} rmi c{i}" commit "docker 20.10" "${docker[@]}" commit changed "c{i}"
		want diff wall 8
		want diff wall 0 0.25 podman # 8 ms beside its 32
		want commit wall 30
		want commit wall 0 0.38 "docker 20.10" # 30 ms beside its 78
	} | timed changes 20 "\`diff\` and \`commit\` of a container with one new file, in an image of 11 layers"
	"${lrun[@]}" rm changed
	in_crun_ns "${podman[@]}" rm changed
	"${docker[@]}" rm changed
}

# section_growth runs many containers one after the other: the last hundred must take as long as the first. Its target is the
# ratio of their medians, below 1.2.
section_growth() {
	local i n=1000 part=100 start stamp=$BENCH_DIR/results/growth first last
	[[ -z $BENCH_QUICK ]] || n=60 part=20
	load busybox
	for ((i = 0; i < n; i++)); do
		start=${EPOCHREALTIME/[.,]/}
		"${lrun[@]}" run --rm --network none "$busybox" true
		echo $((${EPOCHREALTIME/[.,]/} - start))
	done >"$stamp"
	first=$(head -n "$part" "$stamp" | sort -n | sed -n "$((part / 2))p")
	last=$(tail -n "$part" "$stamp" | sort -n | sed -n "$((part / 2))p")
	jq -n --argjson ratio "$(jq -n "$last / $first")" '{verdicts: [{held: ($ratio < 1.2), $ratio}]}' >"$BENCH_DIR/results/growth.json"
	{
		echo "### $n containers one after the other"
		echo
		echo "| work | median, first $part | median, last $part | ratio | target |"
		echo "|---|--:|--:|--:|---|"
		jq -nr --argjson f "$first" --argjson l "$last" \
			'def ms: . / 100 | round / 10; "| `run --rm` of `true` | \($f | ms) ms | \($l | ms) ms | \($l / $f * 100 | round / 100) | < 1.2 |"'
		echo
	} | tee -a "$BENCH_PAGE"
}
