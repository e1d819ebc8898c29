package overlay

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/boot"
	"github.com/lrun-dev/lrun/mount"
)

// cacheFile is the name of the cache in the state directory.
const cacheFile = "overlay"

// probed is the content of the cache: what Probe found since one boot. Every start reads it, so it is text, a fifth of the
// work that JSON is: a line with boot and kernel, then for each filesystem on which overlays work its major:minor, the
// number of the method, and the reason why no better one.
type probed struct {
	boot    string
	kernel  string
	devices map[string]Support
}

func (p probed) text() []byte {
	b := fmt.Appendf(nil, "%s %s\n", p.boot, p.kernel)
	for _, device := range slices.Sorted(maps.Keys(p.devices)) {
		b = fmt.Appendf(b, "%s %d %s\n", device, p.devices[device].Method, p.devices[device].Reason)
	}
	return b
}

// parseProbed reads what text wrote. Whatever is none of it is left out.
func parseProbed(text string) probed {
	first, rest, _ := strings.Cut(text, "\n")
	p := probed{devices: map[string]Support{}}
	p.boot, p.kernel, _ = strings.Cut(first, " ")
	for line := range strings.Lines(rest) {
		device, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		number, reason, ok := strings.Cut(rest, " ")
		method, err := strconv.Atoi(number)
		if m := mount.Method(method); ok && err == nil && m >= mount.ByDescriptor && m <= mount.ByNumber {
			p.devices[device] = Support{OK: true, Method: m, Reason: reason}
		}
	}
	return p
}

// CachedProbe is Probe once per boot, kernel and filesystem: the answer is kept in a file in
// stateDir, and then costs 0.1 ms. Only that overlays work is kept; a refusal may be of the process
// alone, so it is tried again each time. A cache that is missing, unreadable or not writable costs
// a probe and nothing else.
func CachedProbe(dir, stateDir string) Support {
	path := filepath.Join(stateDir, cacheFile)
	now, device, err := here(dir)
	if err != nil {
		return Support{Hindered: err}
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
		now.devices[device] = s
		_ = atomicfile.Write(path, now.text(), 0o600, atomicfile.Volatile) // a cache only
	}
	return s
}

// keptSupport returns what the cache says about a device, and makes now the cache if it is of this boot and kernel.
func keptSupport(path string, now *probed, device string) (Support, bool) {
	text, err := os.ReadFile(path)
	kept := parseProbed(string(text))
	if err != nil || kept.boot != now.boot || kept.kernel != now.kernel {
		return Support{}, false
	}
	*now = kept
	s, ok := kept.devices[device]
	return s, ok
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
	p = probed{boot: id, kernel: unix.ByteSliceToString(name.Release[:]), devices: map[string]Support{}}
	return p, fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), nil
}
