package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// killPatience is how long Kill waits for the processes to be gone. Only one that the kernel holds, in a write to a dead
// disk for example, takes longer.
const killPatience = 10 * time.Second

// Kill kills every process in the group and in the groups below it, however fast they fork, and returns when none is
// left. Processes that are still there after ten seconds are errdefs.ErrFailedPrecondition.
func (g *Group) Kill() error {
	deadline := time.Now().Add(killPatience)
	pause := 200 * time.Microsecond
	for {
		pids, err := g.Pids()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill processes %v: they do not die: %w", pids, errdefs.ErrFailedPrecondition)
		}
		if err := g.killOnce(); err != nil {
			return err
		}
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// killOnce kills all that is there. Before Linux 5.14 that is done one by one, while they are frozen and cannot fork.
func (g *Group) killOnce() error {
	killed := false
	if dir := g.unified(); dir != "" {
		err := write(dir+"/cgroup.kill", "1")
		if err != nil && !absent(err) {
			return fmt.Errorf("kill cgroup %s: %w", dir, err)
		}
		killed = err == nil
	}
	if !killed {
		_ = g.freeze() // else the next round gets those that were forked meanwhile
	}
	err := g.signal(unix.SIGKILL) // to those that have left v2, too
	if _, ferr := g.freezer(); ferr == nil {
		err = errors.Join(err, g.Thaw()) // what the v1 freezer holds does not even die
	}
	return err
}

// signal sends sig to every process. A number is believed only if it is still the group's when its process is held.
func (g *Group) signal(sig unix.Signal) error {
	pids, err := g.Pids()
	if err != nil {
		return err
	}
	held := map[int]int{}
	defer func() {
		for _, fd := range held {
			_ = unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			held[pid] = fd
		}
	}
	again, err := g.Pids()
	for _, pid := range again {
		fd, ok := held[pid]
		if !ok {
			continue
		}
		if serr := unix.PidfdSendSignal(fd, sig, nil, 0); serr != nil && !errors.Is(serr, unix.ESRCH) {
			err = errors.Join(err, fmt.Errorf("kill process %d: %w", pid, serr))
		}
	}
	return err
}

// Freeze stops every process in the group and in the groups below it, and returns when all have stopped. When they have
// not after two seconds, they go on and that is errdefs.ErrFailedPrecondition; a host that has neither v2 nor the v1
// freezer is errdefs.ErrNotImplemented. A group that is gone is ENOENT or ENODEV.
func (g *Group) Freeze() error {
	err := g.freeze()
	if err == nil || errors.Is(err, errdefs.ErrNotImplemented) {
		return err
	}
	return errors.Join(err, g.Thaw())
}

func (g *Group) freeze() error {
	f, err := g.freezer()
	if err != nil {
		return err
	}
	pause := 50 * time.Microsecond
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
		if err := write(f.file, f.stop); err != nil { // v1 wants it again, for those that were forked meanwhile
			return fmt.Errorf("freeze cgroup: set %s to %q: %w", f.file, f.stop, err)
		}
		state, err := read(f.state)
		if err != nil {
			return err
		}
		if slices.Contains(lines(state), f.stopped) {
			return nil
		}
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
	return fmt.Errorf("freeze cgroup: processes do not stop: %w", errdefs.ErrFailedPrecondition)
}

// Thaw lets the processes that Freeze stopped go on. A group that is gone has none.
func (g *Group) Thaw() error {
	f, err := g.freezer()
	if err == nil {
		if err = write(f.file, f.run); err != nil {
			err = fmt.Errorf("thaw cgroup: set %s to %q: %w", f.file, f.run, err)
		}
	}
	if absent(err) {
		return nil
	}
	return err
}

// freezer is how a group is frozen: what is written where, and the line that says that all have stopped.
type freezer struct {
	file, stop, run string
	state, stopped  string
}

func (g *Group) freezer() (freezer, error) {
	if dir, unified := g.with("freezer"); dir != "" && !unified {
		file := dir + "/freezer.state"
		return freezer{file: file, stop: "FROZEN", run: "THAWED", state: file, stopped: "FROZEN"}, nil
	}
	if dir := g.unified(); dir != "" {
		return freezer{
			file: dir + "/cgroup.freeze", stop: "1", run: "0", state: dir + "/cgroup.events", stopped: "frozen 1",
		}, nil
	}
	if g.freezes {
		return freezer{}, fmt.Errorf("freeze cgroup: it is gone: %w", unix.ENOENT)
	}
	return freezer{}, fmt.Errorf("freeze cgroup: neither cgroup v2 nor the v1 freezer is there: %w", errdefs.ErrNotImplemented)
}
