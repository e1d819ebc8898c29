# shellcheck shell=bash
# The images, as docker-archives, which every tool can load: busybox (1 layer), big (11 layers), deep (500 tiny layers),
# thousand (10 images of 100 tiny layers each, all different) and hundred (100 images, each of a tiny layer of its own). They are made once, without a network but for the packages of Debian's base system.

# image puts an image into the directory of an archive to be, and prints its entry in the manifest:
# image DIR REFERENCE LAYER.tar...
image() {
	local dir=$1 ref=$2 arch layer sums=() config
	shift 2
	for layer in "$@"; do
		sums+=("$(sha256sum <"$layer" | cut -d ' ' -f 1)")
		ln -f "$layer" "$dir/${sums[-1]}.tar"
	done
	arch=$(go env GOARCH)
	config=$(jq -nc --arg arch "$arch" '{
		architecture: $arch, os: "linux", created: "2026-01-01T00:00:00Z",
		config: {Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], Cmd: ["sh"]},
		rootfs: {type: "layers", diff_ids: [$ARGS.positional[] | "sha256:" + .]},
		history: [$ARGS.positional[] | {created: "2026-01-01T00:00:00Z", created_by: "scripts/bench"}]
	}' --args "${sums[@]}")
	layer=$(printf %s "$config" | sha256sum | cut -d ' ' -f 1).json
	printf %s "$config" >"$dir/$layer"
	jq -nc --arg config "$layer" --arg ref "$ref" \
		'{Config: $config, RepoTags: [$ref], Layers: [$ARGS.positional[] | . + ".tar"]}' --args "${sums[@]}"
}

# archive makes a docker-archive of a directory and the entries that it reads: archive FILE DIR.
archive() {
	jq -sc . >"$2/manifest.json"
	tar -C "$2" -cf "$1.new" .
	rm -rf "$2"
	mv "$1.new" "$1"
}

# scratch prints the name of a new directory.
scratch() {
	local dir
	dir=$(mktemp -d "$BENCH_DIR/images/scratch.XXXXXX")
	chmod 755 "$dir"
	echo "$dir"
}

# pack makes a layer of a directory: pack DIR FILE.
pack() {
	tar --sort=name --numeric-owner --owner=0 --group=0 --mtime=@1767225600 -C "$1" -cf "$2.new" .
	mv "$2.new" "$2"
}

# busybox_layer makes a root file system with nothing but busybox.
busybox_layer() {
	local dir applet
	dir=$(scratch)
	mkdir -p "$dir"/{bin,dev,etc,proc,root,sys,tmp}
	chmod 1777 "$dir/tmp"
	cp /bin/busybox "$dir/bin/"
	for applet in $(busybox --list); do
		[[ $applet == busybox ]] || ln -s busybox "$dir/bin/$applet"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$dir/etc/passwd"
	echo 'root:x:0:' >"$dir/etc/group"
	pack "$dir" "$1"
	rm -rf "$dir"
}

# small_layer makes the K-th layer on Debian's base system: 250 files, links, a changed file, and something removed from
# below: small_layer K FILE.
small_layer() {
	local dir k=$1 n
	dir=$(scratch)
	mkdir -p "$dir/etc" "$dir/opt/app$k"/{bin,lib/{a,b,c,d},share}
	for ((n = 0; n < 250; n++)); do
		seq "$((k * 1000 + n))" "$((k * 1000 + n + 400))" >"$dir/opt/app$k/lib/$(printf '%b' "\\x$((61 + n % 4))")/file$n"
	done
	ln -s ../lib "$dir/opt/app$k/bin/lib"
	ln "$dir/opt/app$k/lib/a/file0" "$dir/opt/app$k/share/file0"
	echo "layer $k" >"$dir/etc/motd"
	if ((k > 1)); then
		mkdir -p "$dir/opt/app$((k - 1))/lib/d"
		: >"$dir/opt/app$((k - 1))/lib/.wh.a"
		: >"$dir/opt/app$((k - 1))/lib/d/.wh..wh..opq"
	fi
	pack "$dir" "$2"
	rm -rf "$dir"
}

# base_layer makes Debian's base system.
base_layer() {
	# shellcheck disable=SC2016 # $1 is for the hook
	mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' \
		--customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' bookworm "$1.tar" >&2
	mv "$1.tar" "$1"
}

# big_image makes an image of 11 layers.
big_image() {
	local dir layers=("$BENCH_DIR/images/base.layer") k
	dir=$(scratch)
	for k in {1..10}; do
		layers+=("$BENCH_DIR/images/small$k.layer")
		small_layer "$k" "${layers[-1]}"
	done
	image "$dir" bench.test/big:1 "${layers[@]}" | archive "$1" "$dir"
}

# hundred_images makes 100 images of one tiny layer each.
hundred_images() {
	local dir tiny k
	dir=$(scratch)
	tiny=$(scratch)
	for k in {1..100}; do
		echo "$k" >"$tiny/file"
		pack "$tiny" "$dir/tiny"
		image "$dir" "bench.test/tiny:$k" "$dir/tiny"
		rm "$dir/tiny"
	done | archive "$1" "$dir"
	rm -rf "$tiny"
}

# tiny_layers makes an image of COUNT layers, each with files that no other has, on those given, and prints its entry in
# the manifest: tiny_layers DIR REFERENCE PREFIX COUNT [LAYER.tar...].
tiny_layers() {
	local dir=$1 files k layers=("${@:5}") made=()
	files=$(scratch)
	mkdir "$files/$3"
	for ((k = 0; k < $4; k++)); do
		rm -f "$files/$3"/*
		seq "$k" "$((k + 200))" | tee "$files/$3/a$k" "$files/$3/b$k" >/dev/null
		made+=("$files.$k")
		pack "$files" "${made[-1]}"
	done
	image "$dir" "$2" "${layers[@]}" "${made[@]}"
	rm -rf "$files" "${made[@]}"
}

# deep_image makes an image with as many layers as overlayfs stacks, busybox at the bottom.
deep_image() {
	local dir
	dir=$(scratch)
	tiny_layers "$dir" bench.test/deep:1 deep 499 "$BENCH_DIR/images/busybox.layer" | archive "$1" "$dir"
}

# thousand_layers makes 10 images of 100 tiny layers each.
thousand_layers() {
	local dir k
	dir=$(scratch)
	for k in {1..10}; do
		tiny_layers "$dir" "bench.test/thousand:$k" "t$k" 100
	done | archive "$1" "$dir"
}

# make_images makes what is missing.
make_images() {
	local images=$BENCH_DIR/images dir
	rm -rf "$images"/{scratch.*,*.new}
	[[ -s $images/busybox.layer ]] || busybox_layer "$images/busybox.layer"
	[[ -s $images/base.layer ]] || base_layer "$images/base.layer"
	if [[ ! -s $images/busybox.tar ]]; then
		dir=$(scratch)
		image "$dir" bench.test/busybox:1 "$images/busybox.layer" | archive "$images/busybox.tar" "$dir"
	fi
	[[ -s $images/big.tar ]] || big_image "$images/big.tar"
	[[ -s $images/hundred.tar ]] || hundred_images "$images/hundred.tar"
	[[ -s $images/deep.tar ]] || deep_image "$images/deep.tar"
	[[ -s $images/thousand.tar ]] || thousand_layers "$images/thousand.tar"
}
