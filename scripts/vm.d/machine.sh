# shellcheck shell=bash
# What the virtual machine is made of: a kernel, an initramfs and a disk. Each is made once, in a
# directory of $cache that is named after everything that goes into it.

cache=${LRUN_VM_DIR:-/var/cache/lrun-vm}

# The kernel, exactly: the one that the last release of Debian 12 holds, which stays when newer ones
# come and go in its security updates.
vm_kernel=${LRUN_VM_KERNEL:-linux-image-6.1.0-50-cloud-amd64=6.1.176-1}

# What the machine needs besides what the tests need.
vm_packages=(kmod apparmor e2fsprogs iproute2 util-linux xfsprogs)

# once makes $cache/$1 by calling the rest with a new directory, if it is not there, and sets $made to
# it. Two scripts at a time make one. What no script has used for a month goes.
once() {
	local new
	made=$cache/$1
	shift
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
	if [[ ! -d $made ]]; then
		find "$cache" -mindepth 1 -maxdepth 1 -type d \( -mtime +30 -o -name '*.new' \) -exec rm -rf --one-file-system {} +
		new=$made.new
		mkdir "$new"
		echo "vm: making ${made##*/}" >&2
		"$@" "$new" >&2
		mv "$new" "$made"
	fi
	touch "$made"
	exec 9>&-
}

# sum is a short hash of standard input.
sum() {
	sha256sum | cut -c 1-16
}

# make_machine sets kernel and initramfs, which are files, and disk, the root file system in a file.
# shellcheck disable=SC2034 # scripts/vm reads them
make_machine() {
	local packages modules sources
	[[ $(dpkg --print-architecture) == amd64 ]] || die "needs Debian's packages for amd64, and so such a machine"
	once "kernel-$(sum <<<"$vm_kernel")" unpack_kernel
	kernel=$made/vmlinuz modules=$made/lib/modules

	once "initramfs-$(cat - scripts/vm.d/initramfs <<<"$modules" | sum)" pack_initramfs "$modules"
	initramfs=$made/initramfs

	packages=$(scripts/provision --list-test-packages | sort -u - <(printf '%s\n' "${vm_packages[@]}") | paste -sd,)
	sources=$(list_sources)
	[[ -n $sources ]] || die "apt on this machine knows no Debian 12 (bookworm) to make the machine of"
	once "disk-$(cat - scripts/vm.d/{machine.sh,init} <<<"$modules $packages $sources" | sum)" make_disk "$modules" "$packages" "$sources"
	disk=$made/disk
}

# has_kernel reports whether apt can get the kernel.
has_kernel() {
	[[ $vm_kernel == *=* ]] && apt-get download --print-uris "$vm_kernel" >/dev/null 2>&1
}

# unpack_kernel fetches the kernel and takes it apart, into vmlinuz and lib/modules.
unpack_kernel() {
	local deb
	has_kernel || apt-get update -q
	has_kernel || die "apt has no ${vm_kernel/=/ of version }, it has
$(apt-cache pkgnames linux-image- | grep -E '^linux-image-[0-9.-]+-cloud-amd64$' | xargs -r apt-cache madison)
Try one as LRUN_VM_KERNEL=PACKAGE=VERSION, and if it serves, write it into scripts/vm.d/machine.sh."
	(cd "$1" && apt-get download -q -o APT::Sandbox::User=root "$vm_kernel")
	for deb in "$1"/*.deb; do
		dpkg-deb -x "$deb" "$1"
		rm "$deb"
	done
	mv "$1"/boot/vmlinuz-* "$1/vmlinuz"
	rm -r "${1:?}/boot" "${1:?}/usr"
	depmod -b "$1" "$(ls "$1/lib/modules")"
}

# list_sources lists where apt on this machine gets Debian 12 from.
list_sources() {
	# shellcheck disable=SC2016 # the names are apt's
	apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
		grep -E ' bookworm(-updates|-security)? ' | sort -u || true
}

# make_disk makes a disk with packages, from where apt gets them, and the way that it is told to:
# make_disk MODULES PACKAGES SOURCES DIRECTORY.
make_disk() {
	local root=$4/root
	echo "$3" >"$4/sources.list"
	apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-)' >"$4/apt.conf" || true
	mmdebstrap --mode=root --variant=minbase --quiet --aptopt="$4/apt.conf" --include="$2" bookworm "$root" "$4/sources.list"
	mkdir -p "$root/lib/modules"
	cp -a "$1/." "$root/lib/modules"
	install scripts/vm.d/init "$root/vm-init"
	echo lrun-vm >"$root/etc/hostname"
	printf '127.0.0.1 localhost lrun-vm\n::1 localhost\n' >"$root/etc/hosts"
	truncate -s 16G "$4/disk"
	mkfs.ext4 -q -F -d "$root" "$4/disk"
	rm -rf --one-file-system "$root" "$4/sources.list" "$4/apt.conf"
}

# pack_initramfs makes the file that finds the disk: pack_initramfs MODULES DIRECTORY.
pack_initramfs() {
	local root=$2/root module
	mkdir -p "$root"/{bin,modules,dev,disk}
	cp "$(command -v busybox)" "$root/bin/busybox"
	install scripts/vm.d/initramfs "$root/init"
	for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do
		find "$1" -name "$module.ko" -exec cp {} "$root/modules/" \;
	done
	(cd "$root" && find . | busybox cpio -o -H newc) | gzip -1 >"$2/initramfs"
	rm -r "$root"
}
