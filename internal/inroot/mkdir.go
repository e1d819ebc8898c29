package inroot

import (
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// descent is a walk from the root downwards, one component at a time. Its stack holds a descriptor of every real
// directory from the root to where it stands, so ".." needs no lookup and cannot be tricked by a rename.
type descent struct {
	stack []int
	links int
}

func (d *descent) top() int { return d.stack[len(d.stack)-1] }

func (d *descent) pop(to int) {
	for len(d.stack) > to {
		_ = unix.Close(d.top()) // only looked at
		d.stack = d.stack[:len(d.stack)-1]
	}
}

func mkdirAll(root *os.File, name string, perm os.FileMode) (int, error) {
	base, err := openat2(root, ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	d := &descent{stack: []int{base}}
	defer d.pop(0)
	todo := split(name)
	for len(todo) > 0 {
		component := todo[0]
		todo = todo[1:]
		switch component {
		case "", ".":
			continue
		case "..":
			d.pop(max(len(d.stack)-1, 1))
			continue
		}
		target, err := d.enter(component, perm)
		if err != nil {
			return -1, err
		}
		if target == "" {
			continue
		}
		if target[0] == '/' {
			d.pop(1)
		}
		todo = slices.Concat(split(target), todo)
	}
	return ignoringEINTR(func() (int, error) {
		return unix.Openat(d.top(), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
}

// enter steps into the directory name, making it when it is missing. When name is a symbolic link it stays and
// returns where the link points.
func (d *descent) enter(name string, perm os.FileMode) (target string, err error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	open := func() (int, error) { return unix.Openat(d.top(), name, flags, 0) }
	fd, err := ignoringEINTR(open)
	if errors.Is(err, unix.ENOENT) {
		// Another process may make it first: then it is simply there.
		if err := unix.Mkdirat(d.top(), name, modeBits(perm)); err != nil && !errors.Is(err, unix.EEXIST) {
			return "", err
		}
		fd, err = ignoringEINTR(open)
	}
	switch {
	case err == nil:
		d.stack = append(d.stack, fd)
		return "", nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return d.readlink(name)
	}
	return "", err
}

func (d *descent) readlink(name string) (string, error) {
	if d.links++; d.links > maxLinks {
		return "", unix.ELOOP
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(d.top(), name, buf)
	if errors.Is(err, unix.EINVAL) {
		return "", unix.ENOTDIR // no link either: a file
	}
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
