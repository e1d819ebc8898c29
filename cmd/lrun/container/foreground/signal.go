package foreground

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime"
)

// everySignal is how long a program must have run before every signal is caught, and not only those
// that people send. Catching one costs two switches between threads, all 64 of them a millisecond.
const everySignal = 100 * time.Millisecond

// untilListening is how long a start may take before SIGINT and SIGTERM are caught. To a command that is killed earlier happens
// what happens to any: the next one puts right what it left.
const untilListening = 20 * time.Millisecond

// Signals catches what is sent to lrun: before the container runs, SIGINT and SIGTERM stop the command, and others do
// what they do to any process; from then on every signal is the container's.
type Signals struct {
	cancel  context.CancelFunc // of the context that Catch returns
	stopped chan struct{}      // closed by Stop
	caught  chan os.Signal
	listen  sync.Once
	soon    *time.Timer

	mu     sync.Mutex
	early  syscall.Signal // the latest that cancelled the context
	target *runtime.Active
	later  *time.Timer
}

// Catch catches signals, from Listen on or soon, until Stop. The context that it returns ends when lrun is to stop before
// the container runs.
func Catch(ctx context.Context) (context.Context, *Signals) {
	ctx, cancel := context.WithCancel(ctx)
	s := &Signals{caught: make(chan os.Signal, 64), stopped: make(chan struct{}), cancel: cancel}
	s.soon = time.AfterFunc(untilListening, s.Listen)
	return ctx, s
}

// Listen makes sure that SIGINT and SIGTERM are caught. Go starts two threads for the first signal, so it is called when
// the command has to wait anyway.
func (s *Signals) Listen() {
	s.listen.Do(func() {
		signal.Notify(s.caught, unix.SIGINT, unix.SIGTERM)
		go s.loop()
	})
}

// Stop ends the forwarding. It does not let signals do again what they do to any process: that would take as long as
// all else at the end of a command that is about to exit.
func (s *Signals) Stop() {
	s.soon.Stop()
	close(s.stopped)
	if s.later != nil {
		s.later.Stop()
	}
	s.cancel()
}

// Forward makes a the target of what is caught from now on, and of what was to stop the start and came when that could not
// be stopped any more.
func (s *Signals) Forward(a *runtime.Active) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = a
	if s.early != 0 {
		_ = a.Signal(s.early) // it may have ended meanwhile
	}
	s.Listen()
	signal.Notify(s.caught, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	s.later = time.AfterFunc(everySignal, func() { signal.Notify(s.caught) })
}

func (s *Signals) loop() {
	for {
		select {
		case <-s.stopped:
			return
		case caught := <-s.caught:
			s.deliver(caught)
		}
	}
}

func (s *Signals) deliver(caught os.Signal) {
	number, _ := caught.(syscall.Signal)
	switch number {
	case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGWINCH:
		return // about lrun itself; the size of the terminal is followed elsewhere
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.target != nil:
		_ = s.target.Signal(number) // it may have ended meanwhile
	case number == unix.SIGINT || number == unix.SIGTERM:
		s.early = number
		s.cancel()
	}
}
