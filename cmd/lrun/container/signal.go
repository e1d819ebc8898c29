package container

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime"
)

// signals catches what is sent to lrun: before the container runs, SIGINT, SIGTERM and SIGHUP stop the
// command; from then on every signal is the container's.
type signals struct {
	ctx    context.Context
	cancel context.CancelFunc
	caught chan os.Signal

	mu     sync.Mutex
	target *runtime.Active
}

func catchSignals(ctx context.Context) *signals {
	s := &signals{caught: make(chan os.Signal, 64)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	signal.Notify(s.caught)
	go s.loop()
	return s
}

func (s *signals) stop() {
	signal.Stop(s.caught)
	s.cancel()
}

func (s *signals) forward(a *runtime.Active) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = a
}

func (s *signals) loop() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case caught := <-s.caught:
			s.deliver(caught)
		}
	}
}

func (s *signals) deliver(caught os.Signal) {
	number, _ := caught.(syscall.Signal)
	switch number {
	case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGWINCH:
		return // about lrun itself; the size of the terminal is followed elsewhere
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.target != nil:
		_ = s.target.Signal(number) // it may have ended meanwhile
	case number == unix.SIGINT || number == unix.SIGTERM || number == unix.SIGHUP || number == unix.SIGQUIT:
		s.cancel()
	}
}
