package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// launcher starts processes and waits for them. Their standard input and output are null.
type launcher struct {
	null, stderr *os.File
}

// launch starts a process for each argv at once, in the mount namespace ns (nil: the timer's own), and returns the time
// from before the first start until all have ended. It fails unless all exit with 0.
func (l *launcher) launch(ns *os.File, argvs [][]string) (time.Duration, error) {
	if err := l.stderr.Truncate(0); err != nil {
		return 0, err
	}
	if _, err := l.stderr.Seek(0, 0); err != nil {
		return 0, err
	}
	var elapsed time.Duration
	err := inNamespace(ns, func() (err error) {
		begin := time.Now()
		err = l.together(argvs)
		elapsed = time.Since(begin)
		return err
	})
	if err != nil {
		err = fmt.Errorf("%w%s", err, l.said())
	}
	return elapsed, err
}

// inNamespace calls f on a thread that is in the mount namespace ns, so that entering it costs f nothing.
func inNamespace(ns *os.File, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		done <- func() error {
			if ns == nil {
				return f()
			}
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return fmt.Errorf("unshare fs: %w", err)
			}
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
				return fmt.Errorf("setns %s: %w", ns.Name(), err)
			}
			return f()
		}()
	}()
	return <-done
}

// together starts all and waits for all that it started.
func (l *launcher) together(argvs [][]string) error {
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{l.null.Fd(), l.null.Fd(), l.stderr.Fd()}}
	var errs []error
	pids := make([]int, 0, len(argvs))
	for _, argv := range argvs {
		pid, err := syscall.ForkExec(argv[0], argv, attr)
		if err != nil {
			errs = append(errs, fmt.Errorf("start %s: %w", argv[0], err))
			break
		}
		pids = append(pids, pid)
	}
	for i, pid := range pids {
		if err := wait(pid); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", strings.Join(argvs[i], " "), err))
		}
	}
	return errors.Join(errs...)
}

// wait waits for a process, which must exit with 0.
func wait(pid int) error {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		break
	}
	switch {
	case status.Signaled():
		return fmt.Errorf("signal %d", status.Signal())
	case status.ExitStatus() != 0:
		return fmt.Errorf("exit status %d", status.ExitStatus())
	}
	return nil
}

// said returns the end of what the processes wrote to standard error, on lines of its own.
func (l *launcher) said() string {
	const most = 1000
	text, err := os.ReadFile(l.stderr.Name())
	if err != nil || len(text) == 0 {
		return ""
	}
	return "\n" + strings.TrimSpace(string(text[max(0, len(text)-most):]))
}
