package filesystem

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// OpenFor is Open of a filesystem whose owners are those of a container with ids: its root is the container's root's, and
// the options uid= and gid= are the container's numbers. One that the container has not is left out.
func OpenFor(ids spec.UserNamespace, kind string, options []string, attr uint64) (*os.File, error) {
	if !ids.Own() {
		return Open(kind, options, attr)
	}
	fs, err := Open(kind, translated(ids, options), attr)
	if err != nil {
		return nil, err
	}
	uid, gid := ids.Root()
	names := []string{""}
	if kind == "devpts" {
		names = append(names, "ptmx")
	}
	for _, name := range names {
		if err := own(int(fs.Fd()), name, uid, gid); err != nil {
			return nil, errors.Join(fmt.Errorf("filesystem %s: %w", kind, err), fs.Close())
		}
	}
	return fs, nil
}

// translated replaces the container's numbers in options by the host's.
func translated(ids spec.UserNamespace, options []string) []string {
	var list []string
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		host := map[string]func(uint32) (uint32, bool){"uid": ids.HostUID, "gid": ids.HostGID}[key]
		if id, err := strconv.ParseUint(value, 10, 32); host != nil && err == nil {
			n, known := host(uint32(id))
			if !known {
				continue
			}
			option = key + "=" + strconv.FormatUint(uint64(n), 10)
		}
		list = append(list, option)
	}
	return list
}
