package corpus

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// Describe tells the tree in root in sorted lines: "name/" is a directory, "name = content" a file, "name -> target" a
// symbolic link, "name c1:3", "name b1:3" and "name |" are devices and FIFOs. Then follows what is not as usual: the
// mode (usual are 0755, 0644, 0777 and 0600), the owners ("3:4"), the time ("@0.5"; usual is layertest.Mtime) and the xattrs.
// Of the root itself there is a line, "/", if it is not an implied directory.
func Describe(root string) ([]string, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	line, err := describe(root, "")
	lines, err2 := describeDir(dir, "")
	if line != "/ @0" {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines, errors.Join(err, err2)
}

// describeDir describes what is in a directory. It goes by descriptors: a whole name may be too long for the kernel.
func describeDir(dir *os.File, name string) (lines []string, err error) {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	at := fmt.Sprintf("/proc/self/fd/%d/", dir.Fd())
	for _, base := range names {
		line, err := describe(at+base, path.Join(name, visible(base)))
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
		sub, err := os.OpenFile(at+base, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue // no directory
		}
		in, err := describeDir(sub, path.Join(name, visible(base)))
		if lines = append(lines, in...); errors.Join(err, sub.Close()) != nil {
			return nil, err
		}
	}
	return lines, nil
}

func describe(path, name string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", fmt.Errorf("describe %q: %w", name, err)
	}
	line, usual, err := describeType(path, name, &st)
	if err != nil {
		return "", fmt.Errorf("describe %q: %w", name, err)
	}
	if mode := st.Mode & 0o7777; mode != usual {
		line += fmt.Sprintf(" %04o", mode)
	}
	if st.Uid != 0 || st.Gid != 0 {
		line += fmt.Sprintf(" %d:%d", st.Uid, st.Gid)
	}
	line += moment(time.Unix(st.Mtim.Sec, st.Mtim.Nsec))
	xattrs, err := lt.Xattrs(path)
	if err != nil {
		return "", err
	}
	for _, key := range slices.Sorted(maps.Keys(xattrs)) {
		line += fmt.Sprintf(" %s=%q", visible(key), xattrs[key])
	}
	return line, nil
}

// describeType returns the line without metadata, and the usual mode of the type.
func describeType(path, name string, st *unix.Stat_t) (line string, usual uint32, err error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return name + "/", 0o755, nil
	case unix.S_IFREG:
		data, err := os.ReadFile(path)
		return name + " = " + text(string(data)), 0o644, err
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		return name + " -> " + text(target), 0o777, err
	case unix.S_IFCHR:
		return fmt.Sprintf("%s c%d:%d", name, unix.Major(st.Rdev), unix.Minor(st.Rdev)), 0o600, nil
	case unix.S_IFBLK:
		return fmt.Sprintf("%s b%d:%d", name, unix.Major(st.Rdev), unix.Minor(st.Rdev)), 0o600, nil
	case unix.S_IFIFO:
		return name + " |", 0o600, nil
	}
	return fmt.Sprintf("%s type %o", name, st.Mode), 0, nil
}

// moment is t in a line, nothing for the usual time.
func moment(t time.Time) string {
	switch {
	case t.Equal(lt.Mtime):
		return ""
	case t.Nanosecond() == 0:
		return fmt.Sprintf(" @%d", t.Unix())
	}
	return fmt.Sprintf(" @%d.%09d", t.Unix(), t.Nanosecond())
}

// text is a content or a target as a line has it: what is long by its length and hash, and no byte that is not visible.
func text(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("%d bytes %x", len(s), sha256.Sum256([]byte(s)))[:32]
	}
	return visible(s)
}

// visible escapes what is not ASCII, and control characters.
func visible(s string) string {
	quoted := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
