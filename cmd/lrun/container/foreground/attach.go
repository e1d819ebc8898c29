// Package foreground joins a person's terminal or pipes, and the signals sent to lrun, with a container.
package foreground

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/runtime"
)

// Copies are the streams between the user and a container, while it runs.
type Copies struct {
	group sync.WaitGroup
	mu    sync.Mutex
	errs  []error
}

// Attach copies the container's streams until they end. Standard input is copied in the background:
// nobody waits for a user who types no more.
func Attach(e *env.Env, c runtime.Container, a *runtime.Active, t *Terminal) *Copies {
	k := &Copies{}
	if a.Console != nil {
		t.follow(a.Console)
		if c.Interactive {
			go func() { _, _ = io.Copy(a.Console, e.In) }()
		}
		k.copy(e.Out, a.Console)
		return k
	}
	if a.Stdin != nil {
		go func() {
			_, _ = io.Copy(a.Stdin, e.In)
			_ = a.Stdin.Close() // the end of the input is passed on
		}()
	}
	k.copy(e.Out, a.Stdout)
	k.copy(e.Err, a.Stderr)
	return k
}

// copy copies one output. When nobody reads it any more, the container's end of the pipe breaks too,
// as if it wrote there itself.
func (k *Copies) copy(to io.Writer, from *os.File) {
	k.group.Go(func() {
		_, err := io.Copy(to, from)
		err = errors.Join(err, from.Close())
		// EIO is how a terminal says that its other end is closed.
		if err == nil || errors.Is(err, syscall.EIO) || errors.Is(err, env.ErrOutClosed) || errors.Is(err, syscall.EPIPE) {
			return
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.errs = append(k.errs, err)
	})
}

// Wait returns when all output has arrived: a pipe ends when the last process of the container has.
func (k *Copies) Wait() error {
	k.group.Wait()
	return errors.Join(k.errs...)
}
