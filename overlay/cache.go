package overlay

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/boot"
)

// probed is the content of overlay.json: what Probe found since one boot.
type probed struct {
	Boot    string             `json:"boot"`
	Kernel  string             `json:"kernel"`
	Devices map[string]Support `json:"devices"` // by major:minor of the filesystem
}

// CachedProbe is Probe once per boot, kernel and filesystem: the answer is kept in overlay.json in
// stateDir, and then costs 0.1 ms. Only that overlays work is kept; a refusal may be of the process
// alone, so it is tried again each time. A cache that is missing, unreadable or not writable costs
// a probe and nothing else.
func CachedProbe(dir, stateDir string) Support {
	path := filepath.Join(stateDir, "overlay.json")
	now, device, err := here(dir)
	if err != nil {
		return Support{Reason: oneLine(err)}
	}
	if s, ok := keptSupport(path, &now, device); ok {
		return s
	}
	// One process at a time probes and writes the cache, so that what a killed one has left can be told.
	lock, err := lockDirectory(stateDir)
	if err != nil {
		return Probe(dir)
	}
	defer func() { _ = lock.Unlock() }()              // it goes with its file
	if s, ok := keptSupport(path, &now, device); ok { // another process was faster
		return s
	}
	removeTemps(stateDir)
	s := Probe(dir)
	if s.OK {
		if now.Devices == nil {
			now.Devices = map[string]Support{}
		}
		now.Devices[device] = s
		_ = atomicfile.WriteJSON(path, now, 0o600, atomicfile.Volatile) // a cache only
	}
	return s
}

// keptSupport returns what the cache says about a device, and makes now the cache if it is of this boot and kernel.
func keptSupport(path string, now *probed, device string) (Support, bool) {
	var kept probed
	if atomicfile.ReadJSON(path, &kept) != nil || kept.Boot != now.Boot || kept.Kernel != now.Kernel {
		return Support{}, false
	}
	*now = kept
	s, ok := kept.Devices[device]
	return s, ok && s.OK
}

// removeTemps removes caches that were never finished: their writers held the lock.
func removeTemps(stateDir string) {
	entries, err := os.ReadDir(stateDir)
	for _, e := range entries {
		if err == nil && atomicfile.IsTemp(e.Name()) {
			_ = os.Remove(filepath.Join(stateDir, e.Name())) // the next probe tries again
		}
	}
}

// here says which boot and kernel this is, and on which filesystem dir lies.
func here(dir string) (p probed, device string, err error) {
	id, err := boot.ID()
	if err != nil {
		return p, "", err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return p, "", fmt.Errorf("uname: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return p, "", &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	p = probed{Boot: id, Kernel: unix.ByteSliceToString(name.Release[:])}
	return p, fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), nil
}
