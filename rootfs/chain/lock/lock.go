// Package lock takes the locks of a root: waiting as long as a command goes on, or not at all.
package lock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/lrun-dev/lrun/internal/flock"
)

// late is how long a lock that is free may take.
const late = 20 * time.Millisecond

// Wait acquires a lock, or gives up when ctx is done: then the lock, should it be had later, is released.
func Wait(ctx context.Context, acquire func(path string) (*flock.Lock, error), path string, release func(*flock.Lock) error) (*flock.Lock, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type result struct {
		lock *flock.Lock
		err  error
	}
	got := make(chan result, 1)
	go func() {
		l, err := acquire(path)
		got <- result{l, err}
	}()
	select {
	case r := <-got:
		return r.lock, r.err
	case <-ctx.Done():
		drop := func(r result) {
			if r.lock != nil {
				_ = release(r.lock) // nobody waits for it any more
			}
		}
		select {
		case r := <-got: // nobody else had it, and this process may end before a goroutine has dropped it
			drop(r)
		case <-time.After(late):
			go func() { drop(<-got) }()
		}
		return nil, ctx.Err()
	}
}

// Try is flock.TryExclusive that tells "nobody holds it" from the rest: free is true, with the
// lock, when the file is there, and without when it is not.
func Try(path string) (l *flock.Lock, free bool, err error) {
	l, err = flock.TryExclusive(path)
	switch {
	case err == nil:
		return l, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, true, nil
	case errors.Is(err, flock.ErrBusy):
		return nil, false, nil
	}
	return nil, false, err
}

// Drop removes the file of a lock and gives up the lock. Whoever waits for it makes a new file.
func Drop(l *flock.Lock) error {
	err := os.Remove(l.File().Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.Unlock())
}
