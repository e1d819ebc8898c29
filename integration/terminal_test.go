package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// stepPatience is how long an expected output may take, before testutil.Patience.
const stepPatience = 30 * time.Second

// ptyrunMain runs a command on a terminal of its own and prints what the terminal shows: ptyrun STEPS
// COMMAND ARGUMENT…. STEPS is a file of lines: expect TEXT, send TEXT, raw BYTE, resize ROWS COLUMNS, signal
// NUMBER. At the end it prints whether the terminal is as it was, and takes over the exit code.
func ptyrunMain() {
	code, err := ptyrun(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "ptyrun:", err)
		os.Exit(99)
	}
	os.Exit(code)
}

func ptyrun(steps string, args []string) (int, error) {
	script, err := os.Open(steps)
	if err != nil {
		return 0, err
	}
	defer script.Close()
	master, slave, err := openTerminal()
	if err != nil {
		return 0, err
	}
	defer master.Close()
	defer slave.Close()
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	screen := &screen{}
	go func() { _, _ = io.Copy(screen, master) }() // it ends with the terminal
	lines := bufio.NewScanner(script)
	for lines.Scan() {
		if err := step(lines.Text(), master, cmd.Process, screen); err != nil {
			return 0, errors.Join(err, cmd.Process.Kill(), cmd.Wait(), errors.New(screen.all()))
		}
	}
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	time.Sleep(50 * time.Millisecond) // the last output is on its way
	fmt.Println(screen.all())
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		return 0, err
	}
	if *before == *after {
		fmt.Println("terminal as before")
	} else {
		fmt.Printf("terminal changed: %+v, was %+v\n", *after, *before)
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// openTerminal makes a pseudo-terminal of 24 rows and 80 columns.
func openTerminal() (master, slave *os.File, err error) {
	// Blocking, so that a read ends with the program and no poller is needed.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	return master, slave, err
}

func step(line string, master *os.File, p *os.Process, s *screen) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "":
		return nil
	case "expect":
		return s.expect(rest)
	case "send":
		_, err := master.WriteString(rest + "\r")
		return err
	case "raw":
		var b byte
		if _, err := fmt.Sscan(rest, &b); err != nil {
			return err
		}
		_, err := master.Write([]byte{b})
		return err
	case "resize":
		var size unix.Winsize
		if _, err := fmt.Sscan(rest, &size.Row, &size.Col); err != nil {
			return err
		}
		return unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &size)
	case "signal":
		var signal syscall.Signal
		if _, err := fmt.Sscan(rest, &signal); err != nil {
			return err
		}
		return p.Signal(signal)
	}
	return fmt.Errorf("no step %q", verb)
}

// screen is what a terminal has shown.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
	seen int // up to here it was expected
}

// Write adds to the screen.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// expect waits for text after what was expected before.
func (s *screen) expect(text string) error {
	for end := time.Now().Add(testutil.Patience(stepPatience)); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		all := s.all()
		if i := strings.Index(all[s.seen:], text); i >= 0 {
			s.seen += i + len(text)
			return nil
		}
	}
	return fmt.Errorf("%q was not shown", text)
}
