# shellcheck shell=bash
# What is measured of the layer store: unpacking, copying, removing.
# shellcheck source=scripts/bench.d/sections.sh
source scripts/bench.d/sections.sh

large=bench.test/large:1
ctr2=("$BENCH_DIR/bin/containerd2/ctr" -a /run/bench/containerd2.sock)

section_removal() {
	local work="rm of 100" names
	load busybox
	names=$(seq -s ' ' -f 'r%.0f' 100)
	{
		removal_commands "" lrun "${lrun[*]} create --network none --name" true "${lrun[*]} rm"
		removal_commands "$CRUN_NS" podman "${podman[*]} create --network none --cgroup-parent /lrun-bench/podman --name" true "${podman[*]} rm"
		removal_commands "" "docker 20.10" "${docker[*]} create --network none --name" true "${docker[*]} rm"
		want "$work" wall 150
		want "$work" wall 0 0.83 "docker 20.10" # 150 ms beside its 180
	} | timed removal 5 "\`rm\` of 100 containers at once"
}

# removal_commands adds making 100 containers, not timed, and removing them: removal_commands NAMESPACE TOOL CREATE
# COMMAND REMOVE.
removal_commands() {
	local remove
	read -ra remove <<<"$5 $names"
	add -n "$1" -b "for k in $names; do $3 \$k $busybox $4; done" "$work" "$2" "${remove[@]}"
}

# put_large puts the image of 900 MB where the stores are.
put_large() {
	[[ -e $FS/images/large.oci ]] || cp -a "$BENCH_DIR/images/large.oci" "$FS/images/"
	[[ -e $FS/images/large.oci.tar ]] || tar -C "$FS/images/large.oci" -cf "$FS/images/large.oci.tar" .
	sync -f "$FS"
}

# section_unpack is about 288 MB of gzip that are not in the store. Whatever leaves something unwritten is followed by a
# sync, which counts.
section_unpack() {
	local work=unpack oci=$FS/images/large.oci t=$FS/tmp/unpack manifest id layers
	put_large
	start_containerd 3-containerd2 containerd2 "$BENCH_DIR/bin/containerd2/containerd" io.containerd.cri.v1.images io.containerd.cri.v1.runtime
	answers "${ctr2[@]}" version
	manifest=$oci/blobs/$(jq -r '.manifests[0].digest | sub(":"; "/")' "$oci/index.json")
	id=$(jq -r '.config.digest | sub("sha256:"; "")' "$manifest")
	layers=$(jq -r '[.layers[].digest | sub("sha256:"; "")] | join(" ")' "$manifest")
	{
		add -s "$FS" -b "rm -rf $t; mkdir $t; sync -f $FS" "$work" "tar xzf, two at a time" /bin/sh -c \
			"printf '%s\n' $layers | xargs -P 2 -I{} sh -c 'mkdir $t/{} && tar -C $t/{} -xzf $oci/blobs/sha256/{}' && sync -f $FS"
		add -s "$FS" -b "$(unless_gone "${lrun[*]} rmi $large"); sync -f $FS" "$work" lrun "${lrun[@]}" load -q -i "$oci"
		add -s "$FS" -b "$(unless_gone "${podman[*]} rmi $id"); sync -f $FS" -n "$CRUN_NS" "$work" podman \
			/bin/sh -c "${podman[*]} pull -q oci:$oci:$large && sync -f $FS"
		add -s "$FS" -b "$(unless_gone "${ctr[*]} images rm --sync $large"); sync -f $FS" "$work" "ctr 1.6" \
			/bin/sh -c "${ctr[*]} images import $oci.tar && sync -f $FS"
		add -s "$FS" -b "$(unless_gone "${ctr2[*]} images rm --sync $large"); sync -f $FS" "$work" "ctr 2.4" \
			/bin/sh -c "${ctr2[*]} images import $oci.tar && sync -f $FS"
		want "$work" wall 0 0.95 "tar xzf, two at a time"
		want "$work" memory 64
	} | timed unpack 7 "Unpacking an OCI layout of 900 MB in 11 gzip layers, durable"
	rm -rf "$t"
}

# unless_gone prints a shell command that forgives an image that is not there, in the first round.
unless_gone() {
	echo "$1 >/dev/null 2>&1 || true"
}

# section_thousand loads once with each: the others take up to minutes.
section_thousand() {
	local work="load" file=$FS/images/thousand.tar names
	names=$(seq -s ' ' -f "bench.test/thousand:%.0f" 10)
	{
		add -s "$FS" -b "$(unless_gone "${lrun[*]} rmi $names"); sync -f $FS" "$work" lrun "${lrun[@]}" load -q -i "$file"
		add -s "$FS" -b "$(unless_gone "${podman[*]} rmi $names"); sync -f $FS" -n "$CRUN_NS" "$work" podman "${podman[@]}" load -q -i "$file"
		add -s "$FS" -b "$(unless_gone "${docker[*]} rmi $names"); sync -f $FS" "$work" "docker 20.10" "${docker[@]}" load -q -i "$file"
		add -s "$FS" -b "$(unless_gone "${ctr[*]} images rm --sync $names"); sync -f $FS" "$work" "ctr 1.6" "${ctr[@]}" images import "$file"
	} | timed thousand 1 "\`load\` of 1,000 small layers, in 10 images"
}

# section_df is about a root of its own with 1,000 layers and 200 containers; --verbose walks it, as du does.
section_df() {
	local work="system df" k own=("$BENCH_LRUN" --root "$FS/df" --state /run/bench/df)
	"${own[@]}" load -q -i "$FS/images/thousand.tar" >/dev/null
	for ((k = 0; k < 200; k++)); do
		"${own[@]}" create --name "df$k" --network none "bench.test/thousand:$((k % 10 + 1))" true >/dev/null
	done
	{
		add "$work" lrun "${own[@]}" system df
		add "$work -v" lrun "${own[@]}" system df -v
		add "$work -v" du /usr/bin/du -sx "$FS/df"
		want "$work" wall 100
	} | timed df 20 "\`system df\` of 1,000 layers and 200 containers"
	rm -rf "$FS/df"
}

# section_vfs compares creating a container by copying with cp -a of the same tree: byte by byte on ext4, with reflinks on
# xfs, by a snapshot on btrfs; cp is told to share nothing.
section_vfs() {
	local fs name c dir flat=$FS/images/flat.tar
	put_large
	"${lrun[@]}" load -q -i "$FS/images/large.oci"
	"${lrun[@]}" create --name flat --network none "$large" true >/dev/null
	"${lrun[@]}" export flat >"$flat"
	"${lrun[@]}" rm flat >/dev/null
	{
		for fs in ext4 xfs btrfs; do
			dir=$FS
			[[ $fs == ext4 ]] || dir=$(other_fs "$fs")
			c="$BENCH_LRUN --root $dir/vfs --state /run/bench/vfs-$fs --driver vfs"
			$c import "$flat" bench.test/flat:1 >/dev/null
			name=$(find "$dir/vfs" -path '*/data/*/fs' -prune -print)
			add -b "rm -rf $dir/copy; sync -f $dir" "create, $fs" "cp -a and sync" \
				/bin/sh -c "cp -a --reflink=never $name $dir/copy && sync -f $dir"
			read -ra create <<<"$c create --name c{i} --network none bench.test/flat:1 true"
			add -b "sync -f $dir" -a "$c rm c{i}" "create, $fs" lrun "${create[@]}"
		done
		want "create, ext4" wall 0 1 "cp -a and sync"
		want "create, btrfs" wall 0 0.1 "cp -a and sync"
	} | timed vfs 5 "\`create\` on the vfs driver, 900 MB in one tree"
	rm -rf "$FS/copy" "$FS/vfs"
}

# other_fs makes a file system of another kind in a file and prints where it is.
other_fs() {
	local dir=$FS/$1 file=$BENCH_DIR/$1.img
	truncate -s 8G "$file"
	"mkfs.$1" -q -f "$file" >&2
	mkdir -p "$dir"
	mount -o loop "$file" "$dir"
	echo "$dir"
}
