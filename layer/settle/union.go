package settle

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
)

// maxLinks is how many symbolic links one lookup follows, as in the kernel.
const maxLinks = 40

// beneath opens path under root. No component may be a link, so path must be a real name; if the last component is
// one, flags with O_PATH and O_NOFOLLOW open the link itself.
func beneath(root *os.File, path string, flags int) (int, error) {
	if path == "" {
		path = "."
	}
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(int(root.Fd()), path, &how)
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
}

// presence is what one of two trees has by a name.
type presence int

const (
	absent presence = iota
	directory
	link
	file
	whiteout // in a layer only
)

// peek tells what root has at path, without following a link anywhere. A nil root has nothing.
func peek(root *os.File, path string) (presence, error) {
	if root == nil {
		return absent, nil
	}
	fd, err := beneath(root, path, unix.O_PATH|unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return absent, nil
	}
	if errors.Is(err, unix.ENAMETOOLONG) {
		return absent, needs.Invalid("a link leads to %.40q…, which is longer than a name can be", path)
	}
	if err != nil {
		return absent, fmt.Errorf("open %q: %w", path, err)
	}
	defer unix.Close(fd)
	st, err := inode.Fstat(fd)
	switch {
	case err != nil:
		return absent, fmt.Errorf("stat %q: %w", path, err)
	case inode.IsType(st, unix.S_IFDIR):
		return directory, nil
	case inode.IsType(st, unix.S_IFLNK):
		return link, nil
	case isWhiteout(st):
		return whiteout, nil
	}
	return file, nil
}

// isWhiteout tells overlayfs's whiteout. Settle meets them only in layers that are mounted by overlayfs.
func isWhiteout(st unix.Stat_t) bool { return inode.IsType(st, unix.S_IFCHR) && st.Rdev == 0 }

const opaqueXattr = "trusted.overlay.opaque"

// isOpaque tells a directory of a layer that hides what the layers below have in it.
func isOpaque(dir int) bool {
	var value [2]byte
	n, err := unix.Fgetxattr(dir, opaqueXattr, value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

// below tells what the layers below have at path that the layer does not hide. A whiteout that a single layer below
// still shows is nothing.
func (s *settler) below(path string) (presence, error) {
	hidden, err := s.hidden(path)
	if err != nil || hidden {
		return absent, err
	}
	found, err := peek(s.parents, path)
	if found == whiteout {
		found = absent
	}
	return found, err
}

// hidden reports that the layer hides all that is below path: a directory above it is opaque, or in the layer it is
// a whiteout, a file or a link.
func (s *settler) hidden(name string) (bool, error) {
	if s.opaque && name != "" {
		return true, nil
	}
	at, err := inode.OpenDir(int(s.dir.Fd()), ".")
	for component := range strings.SplitSeq(parentOf(name), "/") {
		if err != nil || component == "" {
			break
		}
		above := at
		at, err = inode.OpenDir(above, component)
		_ = unix.Close(above)
		if err == nil && isOpaque(at) {
			_ = unix.Close(at)
			return true, nil
		}
	}
	switch {
	case err == nil:
		return false, unix.Close(at)
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return true, nil
	}
	return false, fmt.Errorf("open parents of %q: %w", name, err)
}

// resolve returns the real name of path in the layer on top of its parents; what is missing is taken for directories
// that will be made. The last component is followed only if it is asked for.
func (s *settler) resolve(name string, followLast bool) (string, error) {
	at, links := "", 0
	for todo := strings.Split(name, "/"); len(todo) > 0; {
		component := todo[0]
		todo = todo[1:]
		if component == "" || component == "." {
			continue
		}
		if component == ".." {
			at = parentOf(at)
			continue
		}
		next := path.Join(at, component)
		if len(next) > needs.MaxName || strings.Count(next, "/") > needs.MaxDepth {
			return "", needs.Invalid("%q leads to a name that is longer than %d bytes or deeper than %d directories", name, needs.MaxName, needs.MaxDepth)
		}
		target, err := s.linkAt(next, followLast || len(todo) > 0)
		if err != nil {
			return "", err
		}
		if target == "" {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", needs.Invalid("%q is a loop of symbolic links", name)
		}
		if target[0] == '/' {
			at = ""
		}
		todo = slices.Concat(strings.Split(target, "/"), todo)
	}
	return at, nil
}

func parentOf(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

// linkAt returns where the link at name points, "" if there is none or it is not to be followed. A directory that the
// layer only implies gives way to a link below.
func (s *settler) linkAt(name string, follow bool) (string, error) {
	if !follow {
		return "", nil
	}
	own, err := peek(s.dir, name)
	if err != nil {
		return "", err
	}
	early, err := s.afterLink(name, own)
	if err != nil {
		return "", err
	}
	if own == link && !early {
		return readlinkBeneath(s.dir, name)
	}
	if own != absent && !early && !s.notes.implied(name) {
		return "", nil
	}
	if found, err := s.below(name); err != nil || found != link {
		return "", err
	}
	return readlinkBeneath(s.parents, name)
}

// afterLink reports that what the layer has at name came after the hard link whose target is looked up, which so went by
// what is below there.
func (s *settler) afterLink(name string, own presence) (bool, error) {
	if s.linking.Name == "" || s.linking.Hidden || own != whiteout && !s.notes.later(name, s.linking.Name) {
		return false, nil
	}
	found, err := s.below(name)
	return found != absent, err
}

func readlinkBeneath(root *os.File, name string) (string, error) {
	fd, err := beneath(root, name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return "", fmt.Errorf("open %q: %w", name, err)
	}
	defer unix.Close(fd)
	return inode.Readlink(fd, "")
}
