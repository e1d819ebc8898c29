package stage

import (
	"syscall"
	"unsafe"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// maxLinks is the kernel's own limit of symbolic links in one resolution.
const maxLinks = 40

const inRoot = sys.ResolveInRoot | sys.ResolveNoMagic

// ensureDir opens the directory path inside root and makes what is missing of it.
func ensureDir(root int, path string) (int, syscall.Errno) {
	return ensure(root, path, false, maxLinks)
}

// ensureFile opens whatever path names inside root, or makes an empty file there.
func ensureFile(root int, path string) (int, syscall.Errno) {
	return ensure(root, path, true, maxLinks)
}

// ensure follows links as the kernel does when they lead somewhere, and makes the target of one that
// dangles: images ship /etc/resolv.conf and /var/run as links to what exists only at run time.
func ensure(root int, path string, file bool, links int) (int, syscall.Errno) {
	flags := uint64(sys.OPath)
	if !file {
		flags |= syscall.O_DIRECTORY
	}
	fd, errno := sys.Openat2(root, path, flags, inRoot)
	if errno != syscall.ENOENT {
		return fd, errno
	}
	if links == 0 {
		return -1, syscall.ELOOP
	}
	parent, name := split(path)
	if name == "" {
		return -1, syscall.ENOENT
	}
	dir, errno := ensure(root, parent, false, links-1)
	if errno != 0 {
		return -1, errno
	}
	defer sys.Close(dir)
	var link [4096]byte
	if n, errno := sys.Readlinkat(dir, name, &link); errno == 0 {
		return ensureTarget(root, parent, unsafe.String(&link[0], n), file, links-1)
	}
	if errno := create(dir, name, file); errno != 0 {
		return -1, errno
	}
	return sys.Openat2(dir, name, flags, inRoot|sys.ResolveNoSymlinks)
}

// create makes one name in dir; that somebody else made it meanwhile is no error.
func create(dir int, name string, file bool) syscall.Errno {
	var errno syscall.Errno
	if file {
		errno = sys.Mknodat(dir, name, syscall.S_IFREG|0o644, 0)
	} else {
		errno = sys.Mkdirat(dir, name, 0o755)
	}
	if errno == syscall.EEXIST {
		return 0
	}
	return errno
}

// ensureTarget is ensure of what a link in the directory parent holds.
func ensureTarget(root int, parent, target string, file bool, links int) (int, syscall.Errno) {
	if target != "" && target[0] == '/' {
		return ensure(root, target, file, links)
	}
	var path [2 * 4096]byte
	n := copy(path[:], parent)
	n += copy(path[n:], "/")
	n += copy(path[n:], target)
	return ensure(root, unsafe.String(&path[0], n), file, links)
}

// split divides a path at its last component. The parent of a name without a slash is the root.
func split(path string) (parent, name string) {
	for len(path) > 1 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i+1], path[i+1:]
		}
	}
	return "/", path
}

// cut is strings.Cut for one byte; package strings is not initialised yet.
func cut(s string, at byte) (before, after string, found bool) {
	for i := range len(s) {
		if s[i] == at {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
