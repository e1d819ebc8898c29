package layer_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// obviousChanges lists the changes as Docker's slow way finds them, and those of bytes that only reading shows.
func obviousChanges(t testing.TB, below, now string) []string {
	t.Helper()
	lines := []string{}
	listChanges(t, below, now, "", true, &lines)
	return lines
}

func listChanges(t testing.TB, below, now, dir string, old bool, lines *[]string) {
	names := map[string]int{} // 1: was there, 2: is there
	if old {
		for _, e := range entriesOf(t, filepath.Join(below, dir)) {
			names[e] |= 1
		}
	}
	for _, e := range entriesOf(t, filepath.Join(now, dir)) {
		names[e] |= 2
	}
	for _, base := range sortedKeys(names) {
		path := filepath.Join(dir, base)
		at := len(*lines)
		switch names[base] {
		case 1:
			*lines = append(*lines, "D /"+path)
			continue
		case 2:
			*lines = append(*lines, "A /"+path)
		case 3:
			if !looksSame(t, filepath.Join(below, path), filepath.Join(now, path)) {
				*lines = append(*lines, "C /"+path)
			}
		}
		if !isRealDir(t, filepath.Join(now, path)) {
			continue
		}
		said := len(*lines) > at
		listChanges(t, below, now, path, names[base] == 3 && isRealDir(t, filepath.Join(below, path)), lines)
		if !said && len(*lines) > at {
			*lines = slices.Insert(*lines, at, "C /"+path)
		}
	}
}

func looksSame(t testing.TB, a, b string) bool {
	one, other := describe(t, a), describe(t, b)
	return one == other
}

// describe tells what counts of a file: of a directory all but its times.
func describe(t testing.TB, path string) string {
	t.Helper()
	return lt.Describe(t, path, !isRealDir(t, path))
}

func isRealDir(t testing.TB, path string) bool {
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Mode&unix.S_IFMT == unix.S_IFDIR
}

func entriesOf(t testing.TB, dir string) []string {
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
