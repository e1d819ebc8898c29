# shellcheck shell=bash
# The image of 900 MB, as an OCI layout with gzip layers: Debian's base system, what apt installs on it in six
# steps, and four small layers. It takes some minutes to make, most of which apt needs.

large_packages=("ca-certificates perl gnupg" "python3" "gcc libc6-dev make" "nodejs" "git curl" "mariadb-server")

# large_hook prints what mmdebstrap runs in order to install packages and to make a layer of all that changed:
# large_hook LAYER PACKAGE...
large_hook() {
	cat <<-END
		touch "$1.stamp"
		DEBIAN_FRONTEND=noninteractive chroot "\$1" apt-get install -y -q --no-install-recommends ${*:2} >&2
		chroot "\$1" apt-get clean
		cd "\$1"
		find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys -o -path ./run -o -path ./tmp -o -path ./var/lib/apt/lists \) \
			-prune -o -cnewer "$1.stamp" -print0 | tar --no-recursion --null -T - --numeric-owner -cf "$1"
	END
}

# large_layers makes the layers that apt makes: large_layers DIR.
large_layers() {
	local k hooks=() packages
	for k in "${!large_packages[@]}"; do
		read -ra packages <<<"${large_packages[k]}"
		large_hook "$1/$k.layer" "${packages[@]}" >"$1/$k.hook"
		hooks+=(--customize-hook="sh -e $1/$k.hook \"\$1\"")
	done
	mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' "${hooks[@]}" --format=null bookworm /dev/null >&2
}

# make_large makes the image if it is missing.
make_large() {
	local images=$BENCH_DIR/images dir archive work
	[[ ! -e $images/large.oci/index.json ]] || return 0
	dir=$(scratch)
	work=$(scratch)
	archive=$work/large.tar
	large_layers "$work"
	image "$dir" bench.test/large:1 "$images/base.layer" "$work"/?.layer "$images"/small{1..4}.layer | archive "$archive" "$dir"
	skopeo --insecure-policy copy -q "docker-archive:$archive" "oci:$work/large.oci:bench.test/large:1"
	rm -rf "$images/large.oci"
	mv "$work/large.oci" "$images/"
	rm -rf "$work"
}
