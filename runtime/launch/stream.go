package launch

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/stage"
)

// streams are the standard streams. Without a terminal they are always pipes of lrun's own: a
// container that had lrun's own descriptors could truncate the file that the user redirected to, or
// type into the user's terminal.
type streams struct {
	console               *os.File    // the host's end of the terminal
	stdin, stdout, stderr *os.File    // the host's ends of the pipes
	terminal              *os.File    // the container's end of the terminal
	container             [3]*os.File // without one it is the container's own /dev/null
}

func openStreams(r Request) (*streams, error) {
	s := &streams{}
	if r.Spec.Process.Terminal {
		return s, nil // opened from the container's own devpts, while its mounts are made
	}
	err := s.openPipes(r.Interactive)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open standard streams: %w", err), s.closeHostEnds(), s.closeContainerEnds())
	}
	return s, nil
}

func (s *streams) openPipes(interactive bool) (err error) {
	if interactive {
		if s.container[0], s.stdin, err = os.Pipe(); err != nil {
			return err
		}
	}
	if s.stdout, s.container[1], err = os.Pipe(); err != nil {
		return err
	}
	s.stderr, s.container[2], err = os.Pipe()
	return err
}

// plan starts the session and puts the streams, given to the container's user, at their numbers.
func (s *streams) plan(p *planner) error {
	if err := s.own(p.request); err != nil {
		return err
	}
	if s.terminal == nil {
		p.do(stage.Step{Op: stage.OpSession})
		for number, f := range s.container {
			index := -1
			if f != nil {
				index = p.file(f)
			}
			p.add(stage.Step{Op: stage.OpStdio, FD: index, Flags: uint64(number)})
		}
		return nil
	}
	index := p.file(s.terminal)
	p.add(stage.Step{Op: stage.OpSession, FD: index})
	for number := range uint64(3) {
		p.add(stage.Step{Op: stage.OpStdio, FD: index, Flags: number})
	}
	return nil
}

// own lets the container's user open /dev/stdout by its name.
func (s *streams) own(r Request) error {
	uid, _ := r.UserNS.HostUID(r.Spec.Process.User.UID)
	if uid == 0 {
		return nil
	}
	for _, f := range []*os.File{s.terminal, s.container[0], s.container[1], s.container[2]} {
		if f == nil {
			continue
		}
		if err := unix.Fchown(int(f.Fd()), int(uid), -1); err != nil {
			return fmt.Errorf("give the standard streams to the container's user: %w", err)
		}
	}
	return nil
}

// end makes a standard input, where there is none, that is at its end. Else it would be the host's /dev/null, which crun
// gives to the root of a user namespace.
func (s *streams) end() error {
	if s.container[0] != nil || s.stdout == nil {
		return nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	s.container[0] = read
	return write.Close()
}

// process gives p the host's ends.
func (s *streams) process(p *Process) *Process {
	p.Console, p.Stdin, p.Stdout, p.Stderr = s.console, s.stdin, s.stdout, s.stderr
	return p
}

func (s *streams) closeContainerEnds() error {
	return closeAll(s.terminal, s.container[0], s.container[1], s.container[2])
}

func (s *streams) closeHostEnds() error {
	return closeAll(s.console, s.stdin, s.stdout, s.stderr)
}

func closeAll(files ...*os.File) error {
	var errs []error
	for _, f := range files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
