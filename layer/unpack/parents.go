package unpack

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
)

// parents walks from the root of the layer to the directory in which an entry lies, one component at a time. Links
// are read and followed by hand, so that "/" and ".." mean the root of the layer and nothing can lead out of it.
// The directories walked stay open: most entries lie where the last one lay, or near it.
type parents struct {
	unpack *unpacker
	frames []frame // the root first; all are real directories, each in the one before
	last   string  // name whose walk led to frames
	valid  bool
	stop   string // component at which the last walk that found nothing stopped
}

// frame is an open directory of the layer.
type frame struct {
	fd   int
	name string
	node *node
	// acl: the directory has a default ACL, which the kernel copies to whatever is made in it.
	acl bool
}

func newParents(u *unpacker, root int) (*parents, error) {
	fd, err := inode.OpenDir(root, ".")
	if err != nil {
		return nil, err
	}
	return &parents{unpack: u, frames: []frame{{fd: fd, node: u.root, acl: inode.HasDefaultACL(fd)}}}, nil
}

func (p *parents) top() *frame { return &p.frames[len(p.frames)-1] }

// path returns the real name of the directory where the walk ended.
func (p *parents) path() string {
	names := make([]string, 0, len(p.frames))
	for _, f := range p.frames[1:] {
		names = append(names, f.name)
	}
	return path.Join(names...)
}

// truncate closes all frames from n on.
func (p *parents) truncate(n int) {
	for _, f := range p.frames[n:] {
		_ = unix.Close(f.fd)
	}
	p.frames = p.frames[:n]
}

// forget is called when a directory that may be on the way is gone.
func (p *parents) forget() {
	p.truncate(1)
	p.valid = false
}

func (p *parents) close() { p.truncate(0) }

// purposes of a walk: what to do where a directory is missing.
type walkMode int

const (
	onlyLook walkMode = iota // stop there
	toAdd                    // make it
	toRemove                 // make it, unless it is certain that there is nothing below to remove
)

// walk goes to dir. It reports false when it stopped at a directory that is missing. A component that is a file is
// needs.NotDir.
func (p *parents) walk(dir string, mode walkMode) (bool, error) {
	if p.valid && p.last == dir {
		return true, nil
	}
	p.valid = false
	todo := p.reuse(dir)
	links := 0
	for len(todo) > 0 {
		component := todo[0]
		todo = todo[1:]
		switch component {
		case "", ".":
			continue
		case "..":
			p.truncate(max(len(p.frames)-1, 1))
			continue
		}
		if len(p.frames) > maxDepth {
			return false, needs.Invalid("parent %q is deeper than %d directories", dir, maxDepth)
		}
		link, err := p.enter(component, mode)
		if err != nil || link == missing {
			p.stop = component
			return false, err
		}
		if link == "" {
			continue
		}
		if links++; links > maxLinks {
			return false, needs.Invalid("parent %q is a loop of symbolic links", dir)
		}
		if link[0] == '/' {
			p.truncate(1)
		}
		todo = slices.Concat(strings.Split(link, "/"), todo)
	}
	if links > 0 && len(p.path()) > maxName {
		return false, needs.Invalid("parent %q leads to a name of more than %d bytes", dir, maxName)
	}
	p.last, p.valid = dir, true
	return true, nil
}

// reuse keeps the frames that lie on the way to dir and returns the components that are left. It may do so even
// after a link, because the frames have the real names.
func (p *parents) reuse(dir string) []string {
	if dir == "" {
		p.truncate(1)
		return nil
	}
	todo := strings.Split(dir, "/")
	n := 1
	for n < len(p.frames) && n <= len(todo) && p.frames[n].name == todo[n-1] {
		n++
	}
	p.truncate(n)
	return todo[n-1:]
}

// missing is what enter returns for a name that does not exist; no link can point to it.
const missing = "\x00"

// enter steps into the directory name. It returns "" when it did, else the target of the link that name is, or
// missing.
func (p *parents) enter(name string, mode walkMode) (string, error) {
	parent := p.top()
	fd, err := inode.OpenDir(parent.fd, name)
	switch {
	case err == nil:
		return "", p.push(fd, name)
	case errors.Is(err, unix.ENOENT):
		return p.absent(name, mode)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
	case errors.Is(err, unix.ENAMETOOLONG):
		return "", needs.Invalid("a link leads to a name of more than %d bytes", maxComponent)
	default:
		return "", fmt.Errorf("open parent %q: %w", name, err)
	}
	link, err := inode.Readlink(parent.fd, name)
	switch {
	case err == nil:
		p.use(name, mode)
		return link, nil
	case !errors.Is(err, unix.EINVAL):
		return "", fmt.Errorf("read link %q: %w", name, err)
	}
	if child := parent.node.child(name); child != nil && child.whiteout {
		return p.absent(name, mode)
	}
	return "", needs.NotDir{Name: path.Join(p.path(), name)}
}

// use notes that entries go through a link of the parents' tree.
func (p *parents) use(name string, mode walkMode) {
	n := p.top().node
	if mode == onlyLook || n.child(name) != nil || n.used[name] > 0 {
		return
	}
	if n.used == nil {
		n.used = map[string]int{}
	}
	n.used[name] = p.unpack.seq
}

// hides reports that the layer itself hides what the layers below have by the name base in the directory where the walk
// ended, or, if it found nothing, by the name where it stopped. What a link that waits will be is not known.
func (p *parents) hides(found bool, base string) bool {
	if !found {
		base = p.stop
	}
	n := p.top().node.child(base)
	return p.alone() || n != nil && !n.dir && n.link == ""
}

// alone reports that nothing of the layers below is left in the directory where the walk ended.
func (p *parents) alone() bool {
	return slices.ContainsFunc(p.frames, func(f frame) bool { return f.node.opaque })
}

func (p *parents) absent(name string, mode walkMode) (string, error) {
	if mode == onlyLook || mode == toRemove && p.nothingBelow(name) {
		return missing, nil
	}
	return "", p.imply(name)
}

// nothingBelow reports that there is nothing left below a name that the layer does not have: the parents' tree is
// here and lacks it, or a whiteout hides it.
func (p *parents) nothingBelow(name string) bool {
	return !p.unpack.overlay() || p.top().node.child(name) != nil
}

func (p *parents) push(fd int, name string) error {
	n := p.top().node.child(name)
	if n == nil {
		// Only where the parents' tree is there already: its time is to stay.
		st, err := inode.Fstat(fd)
		if err != nil {
			_ = unix.Close(fd)
			return err
		}
		n = p.top().node.put(name, &node{dir: true})
		n.setTime(st.Mtim)
	}
	p.frames = append(p.frames, frame{fd: fd, name: name, node: n, acl: inode.HasDefaultACL(fd)})
	return nil
}

// imply makes a directory that the tar does not hold (yet) and steps into it.
func (p *parents) imply(name string) error {
	n, err := p.unpack.makeDir(p.top(), name)
	if err != nil {
		return fmt.Errorf("make parent %q: %w", name, err)
	}
	if err := inode.Implied().WriteExceptTime(inode.File{Dir: p.top().fd, Name: name}); err != nil {
		return fmt.Errorf("make parent %q: %w", name, err)
	}
	n.setTime(inode.Implied().Mtime)
	fd, err := inode.OpenDir(p.top().fd, name)
	if err != nil {
		return fmt.Errorf("open parent %q: %w", name, err)
	}
	return p.push(fd, name)
}

// added notes on the way to the root that the layer adds something here.
func (p *parents) added() {
	for _, f := range slices.Backward(p.frames) {
		if f.node.holds {
			return
		}
		f.node.holds = true
	}
}

// lookup is walk without making anything, for which a file on the way only means that there is nothing.
func (p *parents) lookup(dir string) (bool, error) {
	found, err := p.walk(dir, onlyLook)
	if errors.As(err, new(needs.NotDir)) {
		return false, nil
	}
	return found, err
}
