package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attackMain is attack WHAT ARGUMENT…: one attempt to get out of a container, made from inside unless the comment of
// the attempt says that it is the host's half. It exits with 1 and says what got through, or with 0 when all was refused.
func attackMain() {
	attempts := map[string]func(args []string) error{
		"calls": attackCalls, "swap": attackSwap, "machine": attackMachine, "binary": attackBinary, "device": attackDevice,
		"session": attackSession, "key": attackKey, "listen": attackListen, "connect": attackConnect, "fork": attackFork,
		"type": attackType, "memory": attackMemory, "whoami": attackWhoami, "hold": attackHold, "spy": attackSpy,
	}
	if len(os.Args) < 2 || attempts[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: attack WHAT ARGUMENT…")
		os.Exit(99)
	}
	if err := attempts[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

// refused says that an attempt was turned away because of who made it, and not for another reason.
func refused(err error) bool {
	for _, good := range []unix.Errno{unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EROFS} {
		if errors.Is(err, good) {
			return true
		}
	}
	return false
}

// judge prints what became of an attempt, and returns an error for one that got through.
func judge(name string, err error) error {
	if refused(err) {
		fmt.Printf("refused %s: %v\n", name, err)
		return nil
	}
	return fmt.Errorf("got through: %s: %v", name, err) //nolint:errorlint // of no interest to anybody but a reader
}

// attackSwap is the host's half or that of another container: swap DIR ONE OTHER exchanges two names for ever.
func attackSwap(args []string) error {
	dir, err := os.Open(args[0])
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if err := unix.Renameat2(int(dir.Fd()), args[1], int(dir.Fd()), args[2], unix.RENAME_EXCHANGE); err != nil {
			return err
		}
	}
}

// attackBinary is binary FILE…: it tries to change programs, which are the host's, by every call that changes a file.
// A file that is being executed refuses to be written whatever its mount says, so the mount shows itself by others.
func attackBinary(files []string) error {
	var errs []error
	for _, file := range files {
		fd, err := unix.Open(file, unix.O_PATH, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", file, err)
		}
		name := "/proc/self/fd/" + strconv.Itoa(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		written, err := unix.Open(name, unix.O_WRONLY, 0)
		if err == nil {
			_ = unix.Close(written)
		}
		if !errors.Is(err, unix.ETXTBSY) {
			errs = append(errs, judge("open "+file, err))
		}
		errs = append(errs,
			judge("truncate "+file, unix.Truncate(name, st.Size)),
			judge("chmod "+file, unix.Fchmodat(unix.AT_FDCWD, name, st.Mode&0o7777, 0)),
			judge("chown "+file, unix.Fchownat(unix.AT_FDCWD, name, int(st.Uid), int(st.Gid), 0)),
			judge("utimes "+file, unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{st.Atim, st.Mtim}, 0)),
			judge("setxattr "+file, unix.Setxattr(name, "user.lrun-attack", []byte("x"), 0)),
			judge("remount "+file, unix.Mount("", name, "", unix.MS_REMOUNT|unix.MS_BIND, "")),
		)
	}
	return errors.Join(errs...)
}

// attackDevice is device DIR b|c MAJOR MINOR: it makes the node in DIR and opens it for reading, writing and as a path
// through which to write.
func attackDevice(args []string) error {
	major, minor := number(args[2]), number(args[3])
	node := filepath.Join(args[0], "node")
	kind := uint32(unix.S_IFCHR)
	if args[1] == "b" {
		kind = unix.S_IFBLK
	}
	if err := unix.Mknod(node, kind|0o666, int(unix.Mkdev(major, minor))); err != nil {
		return judge("mknod", err)
	}
	defer os.Remove(node)
	var errs []error
	for name, flags := range map[string]int{"read": unix.O_RDONLY, "write": unix.O_WRONLY, "both": unix.O_RDWR, "ioctl": 3} {
		fd, err := unix.Open(node, flags|unix.O_NONBLOCK, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		errs = append(errs, judge(fmt.Sprintf("open %s %s %s:%s in %s for %s", node, args[1], args[2], args[3], args[0], name), err))
	}
	return errors.Join(errs...)
}

func number(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

// keyName is the key that the host's session has.
const keyName = "lrun-attack"

// attackSession is the host's half: session COMMAND ARGUMENT… runs a command in a session keyring that holds a key.
func attackSession(args []string) error {
	if _, err := unix.KeyctlJoinSessionKeyring(keyName); err != nil {
		return err
	}
	if _, err := unix.AddKey("user", keyName, []byte("secret of the host"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
		return err
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(program, args, os.Environ())
}

// attackKey looks for the key of the host's session.
func attackKey([]string) error {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", keyName, 0)
	if errors.Is(err, unix.ENOKEY) {
		fmt.Println("the session has no such key")
		return nil
	}
	if err == nil {
		content := make([]byte, 100)
		n, _ := unix.KeyctlBuffer(unix.KEYCTL_READ, id, content, 0)
		err = fmt.Errorf("it holds %q", content[:max(n, 0)])
		return fmt.Errorf("got through: %w", err)
	}
	return judge("keyctl", err)
}

// attackListen is the host's half: listen NAME COMMAND ARGUMENT… runs a command while an abstract socket listens.
// Package net would make this program need a loader.
func attackListen(args []string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + args[0]}), unix.Listen(fd, 1)); err != nil {
		return err
	}
	c := exec.Command(args[1], args[2:]...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c.Run()
}

// attackConnect is connect NAME: it connects to an abstract socket.
func attackConnect(args []string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + args[0]})
	if errors.Is(err, unix.ECONNREFUSED) {
		fmt.Println("nobody listens")
		return nil
	}
	return judge("connect", err)
}

// attackFork is fork bomb|endless|daemon NAME: a bomb starts processes until it may not; an endless one does not give up,
// and so do those that it starts; a daemon leaves its session and its parent,
// ignores signals and goes on starting itself, so that NAME is always the argument of a process.
func attackFork(args []string) error {
	again := exec.Command("/proc/self/exe", append([]string{"fork"}, args...)...)
	again.Args[0] = os.Args[0]
	switch args[0] {
	case "bomb":
		started := 0
		for again.Start() == nil {
			started++
			again = exec.Command("/proc/self/exe", "hold", args[1])
			again.Args[0] = os.Args[0]
		}
		fmt.Println("it ended after", started)
		return nil
	case "endless":
		for {
			if again.Start() != nil {
				time.Sleep(time.Millisecond)
			}
			again = &exec.Cmd{Path: again.Path, Args: again.Args}
		}
	default:
		_, _ = unix.Setsid()       // it may lead one already
		for again.Start() != nil { // there are too many processes, until the dead ones have been reaped
			time.Sleep(time.Millisecond)
			again = &exec.Cmd{Path: again.Path, Args: again.Args}
		}
	}
	return nil
}

// attackHold is hold NAME: it does nothing for a while.
func attackHold([]string) error {
	time.Sleep(time.Hour)
	return nil
}

// attackType tries to type into the terminal behind every descriptor and the terminal of its session.
func attackType([]string) error {
	var errs []error
	fds := []int{0, 1, 2}
	if fd, err := unix.Open("/dev/tty", unix.O_RDWR, 0); err == nil {
		fds = append(fds, fd)
	}
	for _, fd := range fds {
		var b byte = 'x'
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(unsafe.Pointer(&b)))
		if errno == 0 {
			errs = append(errs, fmt.Errorf("got through: typed into descriptor %d", fd))
		}
	}
	return errors.Join(errs...)
}

// attackMemory takes memory until there is no more.
func attackMemory([]string) error {
	for {
		b, err := unix.Mmap(-1, 0, 16<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return err
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
	}
}

// attackWhoami prints the user and the capabilities that a program has.
func attackWhoami([]string) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	fmt.Printf("euid %d\n", os.Geteuid())
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNew") {
			fmt.Print(strings.ReplaceAll(line, "\t", " "))
		}
	}
	return nil
}
