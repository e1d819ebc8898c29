package seccomp

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// childEnv makes the test binary load a filter, and then try calls or execute a file.
const childEnv = "LRUN_SECCOMP_CHILD"

// threadKilled is the exit code of a child that has lost its main thread.
const threadKilled = 98

// order is what a child does.
type order struct {
	Profile *specs.LinuxSeccomp
	Calls   [][7]uintptr // number and arguments
	Exec    []string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		var o order
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			panic(err)
		}
		if err := o.obey(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(99)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func (o order) obey() error {
	prog, err := Compile(o.Profile)
	if err != nil {
		return err
	}
	flags, err := Flags(o.Profile)
	if err != nil {
		return err
	}
	raw := Bytes(prog)
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: (*unix.SockFilter)(unsafe.Pointer(&raw[0]))}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		uintptr(flags|unix.SECCOMP_FILTER_FLAG_TSYNC), uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return fmt.Errorf("load: %w", errno)
	}
	if len(o.Exec) > 0 {
		return unix.Exec(o.Exec[0], o.Exec, nil)
	}
	go func() { // where only the calling thread was killed
		time.Sleep(300 * time.Millisecond)
		os.Exit(threadKilled)
	}()
	for _, c := range o.Calls {
		_, _, errno := unix.RawSyscall6(c[0], c[1], c[2], c[3], c[4], c[5], c[6])
		fmt.Println(uintptr(errno))
	}
	return nil
}

// child runs the test binary under an order and returns what it says.
func (o order) child(t *testing.T) (string, error) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience(time.Minute))
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = []string{childEnv + "=" + string(text)}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if stderr.Len() > 0 {
		t.Log(stderr.String())
	}
	return string(out), err
}

func defaultProfile(t *testing.T, caps ...string) *specs.LinuxSeccomp {
	t.Helper()
	p, err := Default(caps)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKernelAnswersAsProfileSays(t *testing.T) {
	testutil.RequireRoot(t)
	const none = 0
	missing := ^uintptr(0) // an address or descriptor that no process has
	newest := unix.EFAULT  // of removexattrat
	if !testutil.Kernel(t, 6, 13) {
		newest = unix.ENOSYS
	}
	cases := []struct {
		name string
		call [7]uintptr
		want syscall.Errno
	}{
		{"getpid", [7]uintptr{unix.SYS_GETPID}, none},
		{"keyctl", [7]uintptr{unix.SYS_KEYCTL}, unix.EPERM},
		{"unshare nothing", [7]uintptr{unix.SYS_UNSHARE, 0}, unix.EPERM},
		{"unshare mounts", [7]uintptr{unix.SYS_UNSHARE, unix.CLONE_NEWNS}, unix.EPERM},
		{"clone user", [7]uintptr{unix.SYS_CLONE, unix.CLONE_NEWUSER}, unix.EPERM},
		{"clone user, upper half", [7]uintptr{unix.SYS_CLONE, unix.CLONE_NEWUSER | 1<<40}, unix.EPERM},
		{"clone invalid", [7]uintptr{unix.SYS_CLONE, unix.CLONE_THREAD}, unix.EINVAL}, // let through to the kernel
		{"clone3", [7]uintptr{unix.SYS_CLONE3, 0, 0}, unix.ENOSYS},
		{"personality query", [7]uintptr{unix.SYS_PERSONALITY, 0xffffffff}, none},
		{"personality other", [7]uintptr{unix.SYS_PERSONALITY, 0x5}, unix.EPERM},
		{"socket inet", [7]uintptr{unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM}, none},
		{"socket vsock", [7]uintptr{unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM}, unix.EPERM},
		{"socket alg", [7]uintptr{unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET}, unix.EPERM},
		{"socket vsock, upper half", [7]uintptr{unix.SYS_SOCKET, 1<<32 | unix.AF_VSOCK, unix.SOCK_STREAM}, unix.EPERM},
		{"ptrace", [7]uintptr{unix.SYS_PTRACE, missing}, unix.ESRCH},
		{"mount", [7]uintptr{unix.SYS_MOUNT}, unix.EPERM},
		{"bpf", [7]uintptr{unix.SYS_BPF, missing}, unix.EPERM},
		{"newest of the profile", [7]uintptr{466, missing}, newest},
		{"newer than the profile", [7]uintptr{467, missing}, unix.ENOSYS},
		{"9999", [7]uintptr{9999}, unix.ENOSYS},
	}
	o := order{Profile: defaultProfile(t)}
	for _, c := range cases {
		o.Calls = append(o.Calls, c.call)
	}
	out, err := o.child(t)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(out)
	if len(lines) != len(cases) {
		t.Fatalf("%d answers: %s", len(lines), out)
	}
	for i, c := range cases {
		if want := fmt.Sprint(uintptr(c.want)); lines[i] != want {
			t.Errorf("%s: errno %s, want %s (%v)", c.name, lines[i], want, c.want)
		}
	}
}

func TestKernelActions(t *testing.T) {
	testutil.RequireRoot(t)
	p := defaultProfile(t)
	for name, c := range map[string]struct {
		rule   specs.LinuxSyscall
		signal syscall.Signal
		says   string
	}{
		"kill process": {call(specs.ActKillProcess, []string{"acct"}), unix.SIGSYS, ""},
		"log":          {call(specs.ActLog, []string{"acct"}, arg(0, specs.OpEqualTo, 1)), 0, "14\n"}, // EFAULT: not refused
		"errno":        {specs.LinuxSyscall{Names: []string{"acct"}, Action: specs.ActErrno, ErrnoRet: new(uint(77))}, 0, "77\n"},
		"trace":        {call(specs.ActTrace, []string{"acct"}), 0, "38\n"}, // nobody traces
		"other value":  {call(specs.ActAllow, []string{"acct"}, arg(0, specs.OpGreaterThan, 1)), 0, "1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			with := *p
			with.Syscalls = append([]specs.LinuxSyscall{c.rule}, p.Syscalls...)
			out, err := order{Profile: &with, Calls: [][7]uintptr{{unix.SYS_ACCT, 1}}}.child(t)
			if c.signal != 0 {
				checkSignal(t, err, c.signal)
			} else if err != nil || out != c.says {
				t.Errorf("got %q, %v; want %q", out, err, c.says)
			}
		})
	}
}

func checkSignal(t *testing.T, err error, want syscall.Signal) {
	t.Helper()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestForeignABIs(t *testing.T) {
	testutil.RequireRoot(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("i386 and x32 are of amd64")
	}
	own := defaultProfile(t)
	own.Architectures = []specs.Arch{specs.ArchX86_64}
	for _, c := range []struct {
		name string
		nr   uint32
		want int
	}{{"getpid", 20, 0}, {"keyctl", 288, 1}, {"socketcall", 102, 14}, {"9999", 9999, 38}} {
		t.Run("i386 "+c.name, func(t *testing.T) {
			_, err := order{Profile: defaultProfile(t), Exec: []string{i386(t, c.nr)}}.child(t)
			exit, _ := errors.AsType[*exec.ExitError](err)
			if c.want == 0 && err != nil || c.want != 0 && (exit == nil || exit.ExitCode() != c.want) {
				t.Errorf("got %v, want %d", err, c.want)
			}
		})
	}
	t.Run("i386 not listed", func(t *testing.T) {
		_, err := order{Profile: own, Exec: []string{i386(t, 20)}}.child(t)
		checkSignal(t, err, unix.SIGSYS)
	})
	t.Run("x32", func(t *testing.T) {
		out, err := order{Profile: defaultProfile(t), Calls: [][7]uintptr{{x32Bit | 39}, {x32Bit | 250}}}.child(t)
		if err != nil || !strings.HasSuffix(out, "\n1\n") {
			t.Errorf("got %q, %v; want keyctl refused", out, err)
		}
	})
	t.Run("x32 not listed", func(t *testing.T) {
		out, err := order{Profile: own, Calls: [][7]uintptr{{x32Bit | 39}}}.child(t)
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != threadKilled || out != "" {
			t.Errorf("got %q, %v; want the thread killed", out, err)
		}
	})
}

// i386 writes a program for i386 that makes one call and exits with its errno, or 0.
func i386(t *testing.T, nr uint32) string {
	t.Helper()
	const base, entry = 0x08048000, 0x08048000 + 52 + 32
	var b bytes.Buffer
	b.WriteString("\x7fELF\x01\x01\x01" + strings.Repeat("\x00", 9))
	write := func(values ...any) {
		for _, v := range values {
			if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(uint16(2), uint16(3), uint32(1), uint32(entry), uint32(52), uint32(0), uint32(0)) // EXEC, 386
	write(uint16(52), uint16(32), uint16(1), uint16(40), uint16(0), uint16(0))
	write(uint32(1), uint32(0), uint32(base), uint32(base), uint32(0x1000), uint32(0x1000), uint32(5), uint32(0x1000))
	b.WriteString("\xbb\x01\x00\x00\x00") // mov ebx, 1
	b.WriteString("\x31\xc9\x31\xd2")     // xor ecx, ecx; xor edx, edx
	b.WriteString("\xb8")
	write(nr)                             // mov eax, nr
	b.WriteString("\xcd\x80")             // int 0x80
	b.WriteString("\x31\xdb\x85\xc0")     // xor ebx, ebx; test eax, eax
	b.WriteString("\x79\x04\x89\xc3")     // jns +4; mov ebx, eax
	b.WriteString("\xf7\xdb")             // neg ebx
	b.WriteString("\xb8\x01\x00\x00\x00") // mov eax, 1
	b.WriteString("\xcd\x80")             // int 0x80
	b.Write(make([]byte, 0x1000-b.Len()))
	file := filepath.Join(t.TempDir(), "i386")
	if err := os.WriteFile(file, b.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}
