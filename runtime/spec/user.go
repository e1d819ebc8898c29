package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/user"

	"github.com/lrun-dev/lrun/internal/inroot"
)

// maxPasswd bounds what is read of the image's passwd and group: they are untrusted.
const maxPasswd = 4 << 20

// maxID is the largest id that may be given as a number too.
const maxID = 1<<31 - 1

// ResolveUser answers who name (Settings.User) is, with the groups more (Tuning.Groups) beside its own, by /etc/passwd
// and /etc/group inside root; links in them cannot leave root. Missing files are fine as long as all names are numeric.
// An unknown name fails with errdefs.ErrNotFound, files over 4 MiB with errdefs.ErrInvalidArgument.
func ResolveUser(root *os.File, name string, more []string) (Identity, error) {
	passwd, err := readOptional(root, "/etc/passwd")
	if err != nil {
		return Identity{}, err
	}
	group, err := readOptional(root, "/etc/group")
	if err != nil {
		return Identity{}, err
	}
	defaults := &user.ExecUser{Home: "/"}
	if name == "" {
		name = "0"
	}
	found, err := user.GetExecUser(name, defaults, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return Identity{}, fmt.Errorf("find user %q in the image's /etc/passwd and /etc/group: %w: %w", name, err, errdefs.ErrNotFound)
	}
	if slices.Contains(more, "") { // package user would panic
		return Identity{}, fmt.Errorf("find groups %q: one has no name: %w", more, errdefs.ErrInvalidArgument)
	}
	if len(more) > 0 {
		added, err := user.GetAdditionalGroups(more, bytes.NewReader(group))
		if err != nil {
			return Identity{}, fmt.Errorf("find groups %q in the image's /etc/group: %w: %w", more, err, errdefs.ErrNotFound)
		}
		slices.Sort(added)
		found.Sgids = append(found.Sgids, added...)
	}
	// The files themselves may say anything: as -1 the system call would change nothing, and root stay root.
	for _, n := range append([]int{found.Uid, found.Gid}, found.Sgids...) {
		if n < 0 || n > maxID {
			return Identity{}, fmt.Errorf("find user %q: the image's /etc/passwd or /etc/group gives it the id %d, which is none: %w", name, n, errdefs.ErrInvalidArgument)
		}
	}
	id := Identity{UID: uint32(found.Uid), GID: uint32(found.Gid), Home: found.Home}
	// Its first group is among the others too: else it could give that up, and what that is denied with it (CVE-2022-36109).
	for _, g := range append([]int{found.Gid}, found.Sgids...) {
		if !slices.Contains(id.Groups, uint32(g)) {
			id.Groups = append(id.Groups, uint32(g))
		}
	}
	return id, nil
}

func readOptional(root *os.File, name string) ([]byte, error) {
	b, err := inroot.ReadFile(root, name, maxPasswd)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the image's %s: %w", name, err)
	}
	return b, nil
}
