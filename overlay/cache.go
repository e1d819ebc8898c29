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
	var kept probed
	if atomicfile.ReadJSON(path, &kept) == nil && kept.Boot == now.Boot && kept.Kernel == now.Kernel {
		if s, ok := kept.Devices[device]; ok && s.OK {
			return s
		}
		now = kept
	}
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
