package container

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/runtime"
)

// terminal is the user's, while a container with -t has it.
type terminal struct {
	fd      int // -1: there is none
	before  *term.State
	resized chan os.Signal
}

// openTerminal makes the user's terminal raw if the container gets one. Whatever then happens, restore
// must be called.
func openTerminal(e *env.Env, c runtime.Container) (*terminal, error) {
	t := &terminal{fd: -1}
	if !c.Settings.Terminal {
		return t, nil
	}
	fd, ok := env.Terminal(e.In)
	if !ok {
		if c.Interactive {
			return t, fmt.Errorf("-t with -i needs a terminal, and standard input is none; leave -t out: %w", errdefs.ErrInvalidArgument)
		}
		return t, nil
	}
	t.fd = fd
	if !c.Interactive {
		return t, nil
	}
	var err error
	if t.before, err = term.MakeRaw(fd); err != nil {
		return t, fmt.Errorf("make the terminal raw: %w", err)
	}
	return t, nil
}

func (t *terminal) restore() error {
	if t.resized != nil {
		signal.Stop(t.resized)
	}
	if t.before == nil {
		return nil
	}
	if err := term.Restore(t.fd, t.before); err != nil {
		return errors.Join(errors.New("restore the terminal: 'stty sane' does it by hand"), err)
	}
	return nil
}

// size is the user's terminal's; nil: there is none.
func (t *terminal) size() *unix.Winsize {
	if t.fd < 0 {
		return nil
	}
	size, err := unix.IoctlGetWinsize(t.fd, unix.TIOCGWINSZ)
	if err != nil {
		return nil
	}
	return size
}

// follow gives the container's terminal the size of the user's, now and whenever it changes.
func (t *terminal) follow(console *os.File) {
	if t.fd < 0 {
		return
	}
	t.resized = make(chan os.Signal, 1)
	signal.Notify(t.resized, unix.SIGWINCH)
	go func() {
		for range t.resized {
			t.resize(console)
		}
	}()
	t.resize(console)
}

func (t *terminal) resize(console *os.File) {
	raw, err := console.SyscallConn()
	if err != nil {
		return
	}
	if size := t.size(); size != nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	}
}
