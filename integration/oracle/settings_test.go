package oracle

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A dimension is one thing that a user can choose, with what there is to choose from, as flags of run in words. The first
// is nearly always the default, and is chosen more often than the others. DIR stands for a directory of the host, ~ for a space.
// The container "donor" runs, and shares what it has.
type dimension struct {
	name   string
	weight int // of the first choice; that of each other is 1
	values []string
}

// outside is the dimension that is about who calls lrun, not about its flags; last is what comes after the flags. Of those in between,
// some are named where choices exclude each other.
const (
	outside, last                      = "caller", "program"
	hostname, names, network, ipc, uts = "hostname", "names", "network", "ipc", "uts"
	content, sysctls, initial          = "content", "sysctls", "init"
	processes, groups, mapped          = "pid", "cgroup namespace", "user namespace"
	privileged                         = "privileged"
)

func dimensions() []dimension {
	return append(sharing(), confinement()...)
}

// sharing is what a container has of its own, of the host, or of another.
func sharing() []dimension {
	return []dimension{
		{processes, 7, []string{"", "--pid host", "--pid container:donor"}},
		{ipc, 7, []string{"", "--ipc host", "--ipc private", "--ipc shareable", "--ipc none", "--ipc container:donor"}},
		{uts, 9, []string{"", "--uts host"}},
		{groups, 7, []string{"", "--cgroupns host", "--cgroupns private"}},
		{mapped, 7, []string{"", "--userns host", "--userns auto", "--userns 0:1900000000:65536"}},
		{content, 7, []string{"", "--rootfs DIR/rootfs", "--rootfs DIR/copy:rw"}},
		{"volumes of another", 5, []string{"", "--volumes-from donor", "--volumes-from donor:ro"}},
		{"named volumes", 4, []string{"", "-v named:/home", "-v named:/named/place:ro", "--mount type=volume,src=named,dst=/named"}},
		{"devices", 4, []string{
			"", "--device /dev/full:/dev/mine:r", "--device /dev/loop-control", "--device /dev/net:/dev/net:rw", "--device /dev/zero:/t/zero", "--device /dev/kmsg:m",
		}},
		{"rules of devices", 5, []string{"", "--device-cgroup-rule c~10:237~rwm", "--device-cgroup-rule b~7:*~r --device-cgroup-rule c~4:1~m", "--device-cgroup-rule a~*:*~rwm"}},
		{sysctls, 4, []string{
			"", "--sysctl kernel.shm_rmid_forced=1 --sysctl kernel.msgmax=4096", "--sysctl net.ipv4.ip_forward=1 --sysctl net/core/somaxconn=99", "--sysctl fs.mqueue.msg_max=20",
			"--sysctl net.ipv4.ping_group_range=0~5",
		}},
		{"security options", 4, []string{
			"", "--security-opt no-new-privileges", "--security-opt seccomp=unconfined", "--security-opt seccomp=DIR/seccomp.json", "--security-opt systempaths=unconfined",
			"--security-opt writable-cgroups=true", "--security-opt no-new-privileges --security-opt seccomp=DIR/seccomp.json",
		}},
	}
}

// confinement is all else.
func confinement() []dimension {
	return []dimension{
		{"user", 5, []string{"", "-u 1000", "-u user", "-u user:staff", "-u 1000:1001", "-u 0:1000", "-u nobody", "-u 12345:54321", "-u root:staff", "-u 0"}},
		{"capabilities", 5, []string{
			"", "--cap-drop ALL", "--cap-add ALL", "--cap-add SYS_ADMIN", "--cap-add NET_ADMIN --cap-add SYS_PTRACE", "--cap-drop ALL --cap-add CHOWN",
			"--cap-drop MKNOD", "--cap-add ALL --cap-drop SYS_ADMIN", "--cap-drop SYS_CHROOT --cap-add SYS_TIME", "--cap-add BPF --cap-add PERFMON",
			"--cap-add SYSLOG --cap-add SYS_BOOT", "--cap-add SYS_MODULE --cap-add SYS_PACCT", "--cap-add SYS_NICE --cap-add SYS_RAWIO",
			"--cap-add SYS_TTY_CONFIG --cap-add DAC_READ_SEARCH", "--cap-drop DAC_OVERRIDE --cap-drop SETUID",
		}},
		{privileged, 9, []string{"", "--privileged"}},
		{"root", 2, []string{"", "--read-only"}},
		{"tmpfs", 3, []string{
			"", "--tmpfs /t", "--tmpfs /t:size=1m,mode=700", "--tmpfs /t:exec,mode=1777", "--tmpfs /t --tmpfs /t/in/deep", "--tmpfs /run",
			"--tmpfs /tmp:rw,size=64k", "--tmpfs /dev/shm:size=1m", "--tmpfs /t:ro",
		}},
		{"binds", 2, []string{
			"", "-v DIR/a:/bind", "-v DIR/a:/bind:ro", "-v DIR/a:/bind -v DIR/b:/bind/in", "-v DIR/a:/bind:ro -v DIR/b:/bind/in:ro", "-v DIR/a/file:/etc/extra:ro",
			"-v DIR/mounted:/bind", "-v DIR/mounted:/bind:ro", "-v DIR/a:/new/deep/place", "-v DIR/a/file:/other/file", "-v DIR/b:/link/x", "-v /vol",
			"-v /srv", "-v DIR/a:/bind:rw -v DIR/a/file:/bind/other:ro", "-v DIR/a/file:/etc/hosts",
		}},
		{"other mounts", 3, []string{
			"", "--mount type=bind,src=DIR/a,dst=/m", "--mount type=bind,src=DIR/mounted,dst=/m,readonly", "--mount type=tmpfs,dst=/m,tmpfs-size=1m,tmpfs-mode=1770",
			"--mount type=volume,dst=/srv", "-v DIR/mounted:/m:rshared", "-v DIR/a:/m:rslave,ro", "--mount type=bind,src=DIR/a/file,dst=/m/file,ro",
		}},
		{initial, 3, []string{"", "--init"}},
		{"terminal", 3, []string{"", "-t", "-i"}},
		{"workdir", 3, []string{"", "-w /srv", "-w /made/for/it", "-w /link", "-w /proc/self", "-w /home/user", "-w /dev/shm", "-w /bind"}},
		{"environment", 3, []string{"", "-e A=1 -e B", "-e HOME=/x -e TERM=vt100", "-e PATH=/bin -e HOSTNAME=other -e EMPTY=", "-e HOME="}},
		{hostname, 3, []string{"", "--hostname box", "--hostname a.very.long.name.with.dots"}},
		{network, 3, []string{"", "--network none", "--network host", "--network container:donor"}},
		{"memory", 5, []string{
			"", "-m 64m", "-m 1g", "-m 100m --memory-swap 200m", "-m 128m --memory-swap -1", "--memory-reservation 32m", "-m 64m --memory-reservation 32m --memory-swap 64m",
			"-m 64m --memory-swappiness 10",
		}},
		{"processors", 5, []string{
			"", "--cpus 0.5", "--cpus 1.5", "--cpus 1 -c 512", "--cpu-shares 512", "-c 2", "--cpu-period 50000 --cpu-quota 25000", "--cpu-quota 20000", "--cpuset-cpus 0", "--cpuset-cpus 0-1 --cpuset-mems 0",
			"--cpu-shares 262144",
		}},
		{"blocks", 5, []string{"", "--blkio-weight 300"}},
		{names, 3, []string{
			"", "--add-host a:10.0.0.1 --add-host b=::1", "--dns 10.9.8.7 --dns-search example.org --dns-option ndots:3", "--domainname example.org",
			"--dns 1.1.1.1 --dns-search .",
		}},
		{"shared memory", 5, []string{"", "--shm-size 1m", "--shm-size 0"}},
		{"limits", 3, []string{
			"", "--ulimit nofile=100:200 --ulimit core=0", "--ulimit nproc=50", "--ulimit stack=65536:1048576", "--ulimit memlock=4096:65536",
			"--ulimit nofile=20:30",
		}},
		{"further groups", 5, []string{"", "--group-add extra", "--group-add 4000 --group-add staff --group-add 0"}},
		{"killer", 5, []string{"", "--oom-score-adj 500", "--oom-score-adj 1000"}},
		{"notes", 9, []string{"", "--annotation a.b=c -l x=y", "--stop-signal USR1"}},
		{"number of processes", 3, []string{"", "--pids-limit 100", "--pids-limit -1"}},
		{outside, 3, []string{
			"", "umask 077", "umask 0", "trap '' INT HUP USR1 PIPE", "ulimit -n 512", "ulimit -c 0", "exec 5</etc/passwd", "exec 0<&-", "cd /proc/self/fd",
			"echo 100 >/proc/self/oom_score_adj", "renice -n 3 $$ >/dev/null",
		}},
		{last, 5, []string{"/probe", "probe", "/link-to-probe", "/script"}},
	}
}

// failing are programs of which most cannot be executed; every eighth setting has one of them.
func failing() []string {
	return []string{"/nothing", "nothing", "/etc", "./probe", "/etc/passwd", "/bad-script", "/unknown"}
}

// setting is one choice in each dimension.
type setting map[string]string

// flags are those of run, with dir for DIR.
func (s setting) flags(dir string) []string {
	var words []string
	for _, d := range dimensions() {
		if d.name != outside && d.name != last {
			for word := range strings.FieldsSeq(s[d.name]) {
				words = append(words, strings.NewReplacer("DIR", dir, "~", " ").Replace(word))
			}
		}
	}
	return words
}

// arguments are what comes after the flags.
func (s setting) arguments(image string) []string {
	if s[content] != "" {
		return []string{s[last]}
	}
	return []string{image, s[last]}
}

// settle takes choices back that are refused beside others: there is no name of one's own where names are shared, and no
// setting of a namespace that is another's.
func (s setting) settle() {
	named := func(text string, some ...string) bool {
		return slices.ContainsFunc(some, func(word string) bool { return strings.Contains(text, word) })
	}
	if strings.HasPrefix(s[mapped], "--userns ") && s[mapped] != "--userns host" { // which shares nothing
		s[privileged], s[content] = "", ""
		for _, d := range []string{processes, ipc, uts, groups, network} {
			if named(s[d], "host", "container:") {
				s[d] = ""
			}
		}
		if named(s["security options"], "writable-cgroups") { // which are not that root's
			s["security options"] = ""
		}
		if named(s[names], "--domainname") { // runc sets it in /proc/sys, where only the host's root may write
			s[names] = ""
		}
	}
	joined := named(s[network], "container:")
	if joined || s[uts] != "" {
		s[hostname] = ""
	}
	if joined && named(s[names], "--add-host", "--dns") || s[uts] != "" && named(s[names], "--domainname") {
		s[names] = ""
	}
	if s[network] != "" && named(s[sysctls], "net.", "net/") && !named(s[network], "none") || named(s[ipc], "host", "container:") && named(s[sysctls], "kernel.", "fs.") {
		s[sysctls] = ""
	}
}

// String is as one would type it.
func (s setting) String() string {
	text := "run " + strings.Join(append(s.flags("DIR"), s.arguments("IMAGE")...), " ")
	if s[outside] != "" {
		text = s[outside] + "; " + text
	}
	return text
}

// pair is what two dimensions are set to.
type pair struct {
	a, b     int
	ofA, ofB string
}

// pairs are all of a setting.
func (s setting) pairs(all []dimension) []pair {
	var pairs []pair
	for i, a := range all {
		for j, b := range all[:i] {
			pairs = append(pairs, pair{i, j, s[a.name], s[b.name]})
		}
	}
	return pairs
}

// generate makes count settings, always the same ones for a seed. The first is all defaults; each further one is that of a
// few random ones which brings most pairs of choices together for the first time.
func generate(seed uint64, count int) []setting {
	random := rand.New(rand.NewPCG(seed, 0))
	all := dimensions()
	chosen := []setting{{}}
	for _, d := range all {
		chosen[0][d.name] = d.values[0]
	}
	seen := map[pair]bool{}
	for len(chosen) < count {
		var best setting
		most := -1
		for range 20 {
			s := setting{}
			for _, d := range all {
				s[d.name] = d.values[max(0, random.IntN(len(d.values)-1+d.weight)-d.weight+1)]
			}
			s.settle()
			fresh := 0
			for _, p := range s.pairs(all) {
				if !seen[p] {
					fresh++
				}
			}
			if fresh > most {
				best, most = s, fresh
			}
		}
		if n := len(chosen); n%8 == 7 {
			best[last] = failing()[n/8%len(failing())]
			if n%16 == 7 {
				best[initial] = "" // whose failures are its own
			}
		}
		chosen = append(chosen, best)
		for _, p := range best.pairs(all) {
			seen[p] = true
		}
	}
	return chosen[:count]
}

func TestGenerate(t *testing.T) {
	text := func(seed uint64, count int) []string {
		var lines []string
		for _, s := range generate(seed, count) {
			lines = append(lines, s.String())
		}
		return lines
	}
	first := text(1, 100)
	if !slices.Equal(first, text(1, 100)) {
		t.Error("a seed does not always give the same settings")
	}
	if slices.Equal(first[1:], text(2, 100)[1:]) || first[0] != text(2, 1)[0] || first[0] != "run IMAGE /probe" {
		t.Errorf("seeds differ in nothing, or in the first: %s", first[0])
	}
	if !slices.Equal(first[:40], text(1, 40)) {
		t.Error("fewer are not the first of more")
	}
	seen := map[string]bool{}
	for _, s := range generate(1, sample) {
		for name, value := range s {
			seen[name+value] = true
		}
	}
	for _, d := range dimensions() {
		for _, value := range d.values {
			if !seen[d.name+value] {
				t.Errorf("%s: %q is never chosen in %d", d.name, value, sample)
			}
		}
	}
}
