package foreground

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

// Terminal is the user's, while a container with -t has it.
type Terminal struct {
	fd      int // -1: there is none
	before  *term.State
	resized chan os.Signal
}

// Open makes the user's terminal raw if the container gets one. Whatever then happens, Restore
// must be called.
func Open(e *env.Env, c runtime.Container) (*Terminal, error) {
	t := &Terminal{fd: -1}
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

// Restore gives the terminal back as it was.
func (t *Terminal) Restore() error {
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

// Size is the user's terminal's; nil: there is none.
func (t *Terminal) Size() *unix.Winsize {
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
func (t *Terminal) follow(console *os.File) {
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

func (t *Terminal) resize(console *os.File) {
	raw, err := console.SyscallConn()
	if err != nil {
		return
	}
	if size := t.Size(); size != nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	}
}
