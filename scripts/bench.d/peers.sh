# shellcheck shell=bash
# The other tools: what to install, how to start their daemons, and how to call each.

peer_packages=(crun runc bubblewrap podman buildah skopeo umoci containerd docker.io)
bench_packages=(btrfs-progs busybox-static e2fsprogs jq mmdebstrap time xfsprogs)
containerd2_version=2.4.2

# missing_packages lists those of its arguments that are not installed.
missing_packages() {
	local p
	for p in "$@"; do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || echo "$p"
	done
}

# install_peers installs what is missing, without the services that Debian would start.
install_peers() {
	local missing
	install_containerd2
	mapfile -t missing < <(missing_packages "${peer_packages[@]}" "${bench_packages[@]}")
	((${#missing[@]} > 0)) || return 0
	forbid_services
	apt-get update -q >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
	allow_services
}

# install_containerd2 builds the containerd that Debian does not have yet.
install_containerd2() {
	local dir=$BENCH_DIR/bin/containerd-$containerd2_version
	if [[ ! -x $dir/ctr ]]; then
		GOBIN=$dir.new GOFLAGS='' go install -trimpath -ldflags='-s -w' \
			github.com/containerd/containerd/v2/cmd/{containerd,ctr}@v"$containerd2_version" >&2
		mv "$dir.new" "$dir"
	fi
	ln -sfn "${dir##*/}" "$BENCH_DIR/bin/containerd2"
}

policy=/usr/sbin/policy-rc.d

# forbid_services keeps packages from starting services while they are installed.
forbid_services() {
	if [[ ! -e $policy ]]; then
		printf '#!/bin/sh\n# scripts/bench of lrun\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
}

# allow_services undoes forbid_services.
allow_services() {
	if grep -qs 'scripts/bench of lrun' "$policy"; then
		rm -f "$policy"
	fi
}
