# shellcheck shell=bash
# How lrun and the other tools are called, and what they need: mounts, bundles, daemons. All of it
# is below FS, an ext4 with a journal, or below /run, a tmpfs; both exist in this mount namespace only.

FS=$BENCH_DIR/fs
lrun=("$BENCH_LRUN" --root "$FS/lrun" --state /run/lrun)
podman=(/usr/bin/podman)
docker=(/usr/bin/docker -H unix:///run/bench/docker.sock)
ctr=(/usr/bin/ctr -a /run/bench/containerd.sock)

# Where the others write to whatever they are told.
hidden=(/etc/docker /opt /var/lib)

# Only what Debian packages, but for containerd 2: no other version in /usr/local, and no helper there that makes one faster.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export TMPDIR=$FS/tmp HOME=$FS/home
export CONTAINERS_CONF=$FS/etc/containers.conf CONTAINERS_STORAGE_CONF=$FS/etc/storage.conf
export CONTAINERS_REGISTRIES_CONF=$FS/etc/registries.conf

# make_mounts makes the file systems for stores and for run-time state.
make_mounts() {
	local dir
	mkdir -p "$FS"
	truncate -s 20G "$BENCH_DIR/fs.img"
	mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$BENCH_DIR/fs.img"
	tune2fs -l "$BENCH_DIR/fs.img" | grep -q '^Filesystem features:.*has_journal' || die "no journal"
	mount -o loop "$BENCH_DIR/fs.img" "$FS"
	mount -t tmpfs -o mode=755 tmpfs /run
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm
	for dir in "${hidden[@]}"; do
		mount -t tmpfs tmpfs "$dir"
	done
	mkdir -p /run/{lock,bench} "$FS"/{etc,home,images,tmp}
	cp "$BENCH_DIR"/images/*.{tar,layer} "$FS/images/"
	sync -f "$FS"
	configure_podman
}

configure_podman() {
	cat >"$CONTAINERS_STORAGE_CONF" <<-END
		[storage]
		driver = "overlay"
		graphroot = "$FS/podman"
		runroot = "/run/bench/podman"
	END
	# Its default limits are more than a container may ask for on some machines.
	cat >"$CONTAINERS_CONF" <<-END
		[containers]
		default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime = "crun"
		tmp_dir = "/run/bench/libpod"
		[network]
		network_config_dir = "$FS/etc/networks"
	END
	echo 'unqualified-search-registries = []' >"$CONTAINERS_REGISTRIES_CONF"
}

# make_bundles makes FS/rootfs, an overlay of the busybox image, 50 bundles on it for each OCI runtime,
# and last the namespace for crun, which gets a copy of all that is mounted.
make_bundles() {
	local n tool
	mkdir -p "$FS"/{lower,upper,work,rootfs}
	tar -C "$FS/lower" -xf "$FS/images/busybox.layer"
	mount -t overlay -o "lowerdir=$FS/lower,upperdir=$FS/upper,workdir=$FS/work" overlay "$FS/rootfs"
	(cd "$FS/tmp" && runc spec)
	for tool in crun runc; do
		for ((n = 0; n < 50; n++)); do
			mkdir -p "$FS/bundles/$tool-$n"
			jq --arg root "$FS/rootfs" --arg group "/lrun-bench/$tool-$n" '
				.process.args = ["true"] | .process.terminal = false | .process.env = ["PATH=/bin"]
				| .process.rlimits = [] | .root = {path: $root} | .linux.cgroupsPath = $group
			' "$FS/tmp/config.json" >"$FS/bundles/$tool-$n/config.json"
		done
	done
	make_crun_ns
}

# make_crun_ns makes CRUN_NS, a mount namespace with cgroups of one version only: crun refuses to run where there are both.
# A process holds it. Mounted on a file it cannot be relied on: Linux 6.18 may take it for older than this one.
make_crun_ns() {
	unshare --mount --propagation private sh -c '
		! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified
		touch /run/bench/crun.ready
		exec sleep infinity' </dev/null &
	CRUN_NS=/proc/$!/ns/mnt
	answers test -e /run/bench/crun.ready
}

# in_crun_ns runs a command where crun works.
in_crun_ns() {
	nsenter --mount="$CRUN_NS" -- "$@"
}

# start_daemons starts dockerd, which starts a containerd of its own, and the containerd that ctr talks to.
start_daemons() {
	mkdir -p "$FS/docker"
	echo '{}' >"$FS/etc/docker.json"
	daemon 1-dockerd /usr/sbin/dockerd --config-file "$FS/etc/docker.json" --data-root "$FS/docker" \
		--exec-root /run/bench/docker --pidfile /run/bench/docker.pid -H "${docker[2]}" \
		--storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs \
		--cgroup-parent /lrun-bench/docker --bridge none --iptables=false --ip6tables=false
	start_containerd 2-containerd containerd /usr/bin/containerd io.containerd.grpc.v1.cri
	answers "${docker[@]}" version
	answers "${ctr[@]}" version
}

# start_containerd starts a containerd with a root and a socket of its own, without the plugins for Kubernetes:
# start_containerd NAME DIR BINARY PLUGIN...
start_containerd() {
	local name=$1 dir=$2 binary=$3 off
	off=$(printf '"%s", ' "${@:4}" io.containerd.internal.v1.opt)
	mkdir -p "$FS/$dir"
	cat >"$FS/etc/$dir.toml" <<-END
		version = 2
		root = "$FS/$dir"
		state = "/run/bench/$dir"
		disabled_plugins = [${off%, }]
		[grpc]
		address = "/run/bench/$dir.sock"
		[ttrpc]
		address = "/run/bench/$dir.sock.ttrpc"
	END
	daemon "$name" "$binary" --config "$FS/etc/$dir.toml"
}

# daemon starts a daemon and notes its pid for scripts/bench: daemon NAME COMMAND...
daemon() {
	setsid "${@:2}" </dev/null &>"$BENCH_DIR/log/$1" &
	echo $! >"$BENCH_DIR/pids/$1"
}

# answers waits until a command succeeds: what was started is ready.
answers() {
	local n
	for n in {1..100}; do
		! "$@" &>/dev/null || return 0
		sleep 0.2
	done
	die "no answer to $* after $((n / 5)) s: see $BENCH_DIR/log"
}

# load loads an image into the store of every tool, once.
load() {
	[[ ! -e $FS/images/$1.loaded ]] || return 0
	"${lrun[@]}" load -q -i "$FS/images/$1.tar"
	in_crun_ns "${podman[@]}" load -q -i "$FS/images/$1.tar"
	"${docker[@]}" load -q -i "$FS/images/$1.tar"
	"${ctr[@]}" images import "$FS/images/$1.tar"
	touch "$FS/images/$1.loaded"
} >>"$BENCH_DIR/log/load"

# remove_containers lets lrun clean up after itself: its cgroups would outlive this namespace.
remove_containers() {
	local ids
	mapfile -t ids < <("${lrun[@]}" ps -aq)
	((${#ids[@]} == 0)) || "${lrun[@]}" rm -f "${ids[@]}" >/dev/null
}
