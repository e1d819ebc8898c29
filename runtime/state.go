package runtime

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/boot"
	"github.com/lrun-dev/lrun/internal/procstat"
)

// State reads the state of the container id and asks the kernel: a recorded Running whose process is
// gone is returned as Exited with code 137, unless the lrun that started it is there and about to record
// how it really ended. A claim alone does not say so: a sweep may have it. A container that was never started is Created, one that
// is gone, or has no record yet, errdefs.ErrNotFound.
func (s *Store) State(id string) (State, error) {
	st, err := s.recorded(id)
	if err == nil && st.Status == Created { // there may be no state because all is gone
		if _, err := os.Lstat(filepath.Join(s.Dir(id), "config.json")); errors.Is(err, fs.ErrNotExist) {
			return State{}, notFound(id)
		}
	}
	if err != nil || st.Status != Running || alive(st) || !st.Deserted() && s.Watched(id) {
		return st, err
	}
	return lost(st), nil
}

// lost is the state of a container whose end nobody saw.
func lost(st State) State {
	st.Status, st.ExitCode, st.Pid = Exited, lostExitCode, 0
	st.Error = "its lrun process was killed, or the machine went down"
	return st
}

func (s *Store) recorded(id string) (State, error) {
	st := State{Status: Created}
	path := filepath.Join(s.Dir(id), "state.json")
	err := atomicfile.ReadJSON(path, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return State{Status: Created}, nil
	case err != nil && atomicfile.CutOff(path): // it was being started when the power went: else its state is durable
		return lost(State{}), nil
	}
	return st, err
}

func (s *Store) writeState(id string, st State, sync atomicfile.Sync) error {
	return atomicfile.WriteJSON(filepath.Join(s.Dir(id), "state.json"), st, 0o600, sync.At(s.sync))
}

// alive says whether the process of a recorded state still runs: its pid counts only together with its start
// time and the boot, for numbers are used again.
func alive(st State) bool {
	if st.Pid <= 0 {
		return false
	}
	p, err := procstat.Read(st.Pid)
	if err != nil || p.Zombie || !p.Is(st.Pid, st.PidStart) {
		return false
	}
	boot, err := boot.ID()
	return err == nil && boot == st.BootID
}

// supervised says whether a live process of a recorded state still has the lrun that started it, which is its parent.
func supervised(st State) bool {
	if st.LrunPid <= 0 || !alive(st) {
		return false
	}
	p, err := procstat.Read(st.Pid)
	return err == nil && p.Parent == st.LrunPid
}
