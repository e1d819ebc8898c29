package oracle

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// explanation is a cause for which what the built-in runtime does may differ from what runc does.
type explanation struct {
	name  string
	cause string
	lines string // the differences, as a regular expression
	when  string // the settings in which it bears on anything, as one
}

// explanations are all there are; docs/testing.md tells of them. Each must be needed.
func explanations() []explanation {
	const missing = `: nothing ≠ .*`
	return []explanation{
		{
			"unused hierarchies", "lrun makes no group in a hierarchy of cgroup v1 in which nothing is set: each costs time at every start",
			`(?:mount|cgroup) /sys/fs/cgroup/(?:blkio|cpu|cpuacct|cpuset|freezer|pids|systemd|net_cls|net_prio|perf_event|hugetlb|misc|rdma)(?:/.*)?` + missing +
				`|self cgroup: .*:/\\n.* ≠ .*|self cpuset: / ≠ /lrun/ID`, "",
		},
		{
			"the directory of the hierarchies", "runc 1.1 leaves the tmpfs above the hierarchies of cgroup v1 writable",
			`mount /sys/fs/cgroup: (.* )ro,(.*) ≠ (.* )rw,(.*)|(?:access|mkdir|rmdir) /sys/fs/cgroup: EROFS ≠ \w+`, "",
		},
		{
			"the tun device", "runc always allows 10:200, in which no default device is",
			`cgroup /sys/fs/cgroup/devices/devices.list: .* ≠ .*\\nc 10:200 rwm.*`, "",
		},
		{
			"covers of directories", "lrun's empty directories have no space and a mount that is read-only; runc's have a file system that is",
			`mount (?:/proc|/sys)/[\w/]+: (.*) ro,relatime \[\] tmpfs tmpfs rw,size=0k,nr_inodes=1,mode=755(?:,uid=map\+0,gid=map\+0)? ≠ (.*) ro,relatime \[\] tmpfs tmpfs ro(?:,uid=map\+0,gid=map\+0)?` +
				`|access /(?:proc/acpi|proc/scsi|proc/asound|sys/firmware|sys/devices/virtual/powercap): EACCES ≠ EROFS`, "",
		},
		{
			"sysfs", "lrun's mount of it is read-only, with runc the file system also",
			`mount /sys: (.*) sysfs sysfs rw ≠ (.*) sysfs sysfs ro|(?:access|write) /sys/.*: EACCES ≠ EROFS`, "",
		},
		{
			"new calls", "Debian's libseccomp 2.5.4 does not know the calls that came after it, which then do not exist for runc's containers",
			`number 4\d\d: \w+ ≠ ENOSYS`, "",
		},
		{
			"halves of arguments", "lrun compares what the kernel takes as an int without the upper half, as the kernel does",
			`call \d+ socket 0x100000028: EPERM ≠ \w+|call \d+ personality 0x(?:100000000|ffffffffffffffff): \w+ ≠ EPERM`, "",
		},
		{
			"the end of lrun", "lrun is the parent of its containers, which do not outlive it; runc's have no parent that stays",
			`prctl death signal: 9 ≠ 0`, "",
		},
		{
			"the init", "the built-in runtime executes the init by its descriptor; runc has to find it in the container, where it is bound",
			`(?:mount|file) /dev/lrun-init: nothing ≠ .*|process /proc/(?:1|INIT): lrun-init -- (.*) ≠ /dev/lrun-init -- (.*)`, "--init",
		},
		{
			"programs that cannot be executed", "runc finds out inside the container, after it has said that the container runs",
			`exit code: 12[67] ≠ 1|said exec /.*: nothing ≠ `, " /(?:unknown|bad-script|etc|etc/passwd)$",
		},
		{
			"the terminal's descriptor", "it was opened in another way, whose flags F_GETFL also shows; it is not closed at exec",
			`descriptor [012]: (/dev/pts/0 .*) flags 0x80002 ≠ (/dev/pts/0 .*) flags 0x8002`, "-t ",
		},
		{
			"mounts that follow the host", "runc has the container's root follow the host where one of its mounts does, and in a user namespace; the built-in one is private",
			`mount /: .* \[\] .* ≠ .* \[master\] .*`, ":rslave| --userns (?:auto|0)",
		},
		{
			"devices in a user namespace", "lrun makes /dev, its devices and the directory of the hierarchies itself, with the ids that they have inside; runc makes the directories " +
				"inside and binds the host's devices, which are nobody's there, and gets an input that has ended in place of /dev/null",
			`mount /(?:dev|sys/fs/cgroup): .* ≠ .*,uid=map\+0,gid=map\+0|mount /dev/[\w/-]+: nothing ≠ on /dev root /\w+ .* (?:devtmpfs .*|tmpfs none .*)` +
				`|mount /proc/\w+: on /proc root /null .* tmpfs .* ≠ on /proc root /null .* devtmpfs .*|file /dev/[\w/-]+: \d+ 0:0 \d+:\d+ on .* ≠ \d+ (?:0:0|65534:65534) \d+:\d+ on .*` +
				`|(?:open|write) /dev/[\w-]+: ENXIO ≠ EACCES|descriptor 0: /dev/null .* ≠ pipe: .*|file /dev/stdin: .* ≠ .* on 0x50495045 .*`, " --userns (?:auto|0)",
		},
		{
			"message queues in a user namespace", "runc makes them before it has a group in that namespace",
			`file /dev/mqueue: 41777 0:0 (.*) ≠ 41777 0:65534 (.*)`, " --userns (?:auto|0)",
		},
		{
			"the caller's umask", "with runc it bears on the places that are made for mounts",
			`(?:file|entries of) /[\w/]+: .* ≠ (?:40700 .*|EACCES|nothing)|(?:open|write|access|mkdir|rmdir|mknod|process) /[\w/. -]+: .* ≠ EACCES`, "^umask 077",
		},
	}
}

// explain returns the name of the explanation of a difference, or nothing.
func explain(s setting, difference string) string {
	for _, e := range explanations() {
		if regexp.MustCompile(e.when).MatchString(s.String()) && regexp.MustCompile("^(?:"+e.lines+")$").MatchString(difference) {
			return e.name
		}
	}
	return ""
}

func TestExplanationsAreFew(t *testing.T) {
	if n := len(explanations()); n > 15 {
		t.Errorf("%d explanations, at most 15", n)
	}
	for _, d := range []string{"exit code: 0 ≠ 1", "status CapEff: 0 ≠ 1", "mount /: a ≠ b", "mount /proc/acpi: a ≠ nothing", "number 39: 1 ≠ ENOSYS"} {
		if name := explain(generate(1, 1)[0], d); name != "" {
			t.Errorf("%q explains %q", name, d)
		}
	}
}

func TestUsersAreToldOfExplanations(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range explanations() {
		if row := "| " + e.name + " | " + e.cause + " |\n"; !strings.Contains(string(page), row) {
			t.Errorf("docs/testing.md has no row %q", row)
		}
	}
}
