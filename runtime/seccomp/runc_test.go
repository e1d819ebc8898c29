package seccomp

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

const ptraceSeccompGetFilter = 0x420c

// The filter that runc and libseccomp load for a profile is read back from a container and compared with ours, call by
// call.
func TestSameAsRunc(t *testing.T) {
	testutil.RequireRoot(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("the arguments below are of amd64")
	}
	for _, tool := range []string{"runc", "busybox"} {
		if _, err := exec.LookPath(tool); err != nil {
			testutil.Missing(t, err)
		}
	}
	testutil.LeakCheck(t)
	x86, err := Default([]string{"CAP_SYS_ADMIN", "CAP_SYS_CHROOT"})
	if err != nil {
		t.Fatal(err)
	}
	x86.Architectures = []specs.Arch{specs.ArchX86_64, specs.ArchX86}
	own, err := Default([]string{"CAP_SYS_ADMIN", "CAP_SYS_CHROOT"})
	if err != nil {
		t.Fatal(err)
	}
	own.Architectures = []specs.Arch{specs.ArchX86_64}
	for name, p := range map[string]*specs.LinuxSeccomp{
		"default": profiles(t)["default0"], "admin": profiles(t)["default1"], "no x32": x86, "native": own,
		"denying": denying(), "rare": rare(t),
	} {
		t.Run(name, func(t *testing.T) {
			known := *p
			known.Syscalls = nil
			for _, call := range p.Syscalls {
				call.Names = slices.DeleteFunc(slices.Clone(call.Names), unknownToLibseccomp)
				known.Syscalls = append(known.Syscalls, call)
			}
			theirs := runcFilter(t, &known)
			ours, err := Compile(&known)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d instructions, runc has %d", len(ours), len(theirs))
			sameAs(t, &known, ours, theirs)
		})
	}
}

// unknownToLibseccomp says whether a call came after libseccomp 2.5.4.
func unknownToLibseccomp(name string) bool {
	return slices.Contains(strings.Fields(`uretprobe uprobe map_shadow_stack statmount listmount lsm_get_self_attr
		riscv_hwprobe rseq_slice_yield listns file_getattr file_setattr open_tree_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat`), name)
}

// rare is Docker's profile with conditions on calls that neither runc nor the container need, in every form.
func rare(t *testing.T) *specs.LinuxSeccomp {
	t.Helper()
	p, err := Default(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Syscalls[0].Names = slices.DeleteFunc(p.Syscalls[0].Names, func(n string) bool {
		return n == "socketcall" || n == "ipc" || n == "shmat" || n == "listen" || n == "semop"
	})
	names := strings.Fields(`acct reboot swapon swapoff init_module delete_module quotactl nfsservctl vhangup pivot_root
		settimeofday iopl ioperm kexec_load add_key request_key keyctl mbind set_mempolicy get_mempolicy migrate_pages
		move_pages perf_event_open setns kcmp finit_module bpf userfaultfd io_uring_setup io_uring_enter
		io_uring_register open_tree move_mount fsopen fsconfig fsmount`)
	next := func() []string {
		name := names[0]
		names = names[1:]
		return []string{name}
	}
	for i, call := range operators().Syscalls {
		if call.Args[0].Op == specs.OpMaskedEqual || i%4 == 1 {
			call.Names = next()
			p.Syscalls = append(p.Syscalls, call)
		}
	}
	and, or, both, refused := next(), next(), next(), next()
	p.Syscalls = append(
		p.Syscalls,
		call(specs.ActAllow, and, arg(0, specs.OpMaskedEqual, 0x7e020000, 0), arg(1, specs.OpEqualTo, 0), arg(4, specs.OpGreaterThan, 1<<35)),
		call(specs.ActAllow, or, arg(2, specs.OpEqualTo, 1), arg(2, specs.OpEqualTo, 2)),
		call(specs.ActAllow, both, arg(0, specs.OpEqualTo, 7)),
		call(specs.ActLog, both),
		call(specs.ActErrno, refused),
		call(specs.ActAllow, refused, arg(0, specs.OpEqualTo, 1)),
		call(specs.ActErrno, []string{"lookup_dcookie"}, arg(0, specs.OpEqualTo, 1)),
		call(specs.ActAllow, []string{"lookup_dcookie"}, arg(0, specs.OpLessEqual, 1)),
		call(specs.ActAllow, []string{"listen", "shmat", "semop"}, arg(0, specs.OpEqualTo, 2)),
	)
	return p
}

func sameAs(t *testing.T, p *specs.LinuxSeccomp, ours, theirs []Instruction) {
	t.Helper()
	wrong, tried := 0, 0
	m := newModel(t, "amd64", p)
	m.inputs("amd64", func(d data) {
		if d.nr == 0x80000000 { // no call at all; the others have no opinion on it
			return
		}
		name := m.names[specs.ArchX86_64][d.nr]
		for i, a := range d.args {
			if a>>32 != 0 && isInt(name, uint(i)) { // here we compare what the kernel uses, libseccomp all of it
				return
			}
		}
		tried++
		got, _, _, err := run(ours, d)
		if err != nil {
			t.Fatal(err)
		}
		want, _, _, err := run(theirs, d)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			if wrong++; wrong < 20 {
				t.Errorf("%v: got %#x, runc has %#x", d, got, want)
			}
		}
	})
	if wrong > 0 {
		t.Errorf("%d of %d calls differ", wrong, tried)
	}
}

// runcFilter runs a container under p and returns the filter that its process has.
func runcFilter(t *testing.T, p *specs.LinuxSeccomp) []Instruction {
	t.Helper()
	dir := t.TempDir()
	runc := func(args ...string) {
		t.Helper()
		cmd := exec.Command("runc", append([]string{"--root", filepath.Join(dir, "state")}, args...)...)
		cmd.Dir = dir
		out, err := os.Create(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(out.Name())
			t.Fatalf("runc %v: %v\n%s", args, err, text)
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs", "busybox"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	runc("spec")
	config := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	spec.Process.Terminal, spec.Process.Args = false, []string{"/busybox", "sleep", "100"}
	spec.Linux.Seccomp = p
	if text, err = json.Marshal(spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	id := "lrunseccomp" + strconv.Itoa(os.Getpid())
	runc("run", "--detach", "--pid-file", filepath.Join(dir, "pid"), id)
	defer runc("delete", "--force", id)
	number, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(number)))
	if err != nil {
		t.Fatal(err)
	}
	return filterOf(t, pid)
}

// filterOf reads the latest filter of a process.
func filterOf(t *testing.T, pid int) []Instruction {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(pid); err != nil {
		t.Fatal(err)
	}
	defer unix.PtraceDetach(pid)
	if err := unix.PtraceInterrupt(pid); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 8*unix.BPF_MAXINSNS)
	n, _, errno := unix.Syscall6(unix.SYS_PTRACE, ptraceSeccompGetFilter, uintptr(pid), 0,
		uintptr(unsafe.Pointer(&raw[0])), 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	prog := make([]Instruction, n)
	if _, err := binary.Decode(raw[:8*n], binary.NativeEndian, prog); err != nil {
		t.Fatal(err)
	}
	return prog
}
