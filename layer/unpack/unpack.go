// Package unpack turns the tar of one image layer into a directory. It is the inside of layer.Apply, which says what
// is promised.
//
// An entry goes through named steps: its name is read, its parent found or made, what it removes is removed and what
// it replaces is cleared, the file is made by its type and described. Only finish, after the last entry, does what
// needs all of them.
package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/manifest"
	"github.com/lrun-dev/lrun/layer/needs"
	"github.com/lrun-dev/lrun/layer/unpack/content"
	"github.com/lrun-dev/lrun/layer/unpack/header"
)

// Whiteouts writes removals down in a layer's own directory, in the form of the filesystem that will show it.
type Whiteouts interface {
	// Whiteout hides name of the layers below dir. The name does not exist in dir.
	Whiteout(dir *os.File, name string) error
	// Opaque hides all that the layers below have in dir. It may be called twice for one directory.
	Opaque(dir *os.File) error
}

// Options says how a layer is unpacked.
type Options struct {
	// Whiteouts records removals in dir, which holds this layer alone and begins empty. When it is nil, dir already
	// holds the tree of the parents, and what a whiteout names is removed from it.
	Whiteouts Whiteouts
	// Sums, unless it is nil, takes the digests of the files that are made.
	Sums *manifest.Sums
}

// Result is what was unpacked.
type Result struct {
	Size    int64 // sum of the sizes of the regular files
	Entries int   // tar entries, whiteouts included
	Needs   needs.Needs
	// Changes are what the entries did to a directory that holds the tree of the parents too.
	Changes iter.Seq[manifest.Change]
}

// MaxEntries is how many entries a layer may have. The record of each is kept in memory until the last has come.
const MaxEntries = 4_000_000

// Unpack unpacks stream into dir, up to the end of the archive; what follows there is left unread.
func Unpack(ctx context.Context, dir *os.File, stream io.Reader, o Options) (Result, error) {
	defer runtime.KeepAlive(dir)
	u, err := newUnpacker(ctx, int(dir.Fd()), &source{r: stream}, o)
	if err != nil {
		return Result{}, err
	}
	defer u.close()
	if err := u.entries(); err != nil {
		return Result{}, err
	}
	needs, err := u.finish()
	if err != nil {
		return Result{}, err
	}
	return Result{Size: u.size, Entries: u.seq, Needs: needs, Changes: u.changes()}, nil
}

// unpacker is one Unpack.
type unpacker struct {
	ctx       context.Context
	source    *source
	whiteouts Whiteouts
	root      *node
	parents   *parents // of the entries
	targets   *parents // of hard links' targets
	links     []waiting
	early     []needs.Parent   // directories that were used before the tar said what they are
	below     map[*node]string // links to files of the parents: the names that they were made to
	sums      *manifest.Sums
	content   *content.Writer
	seq       int
	limit     int // of seq
	size      int64
}

func newUnpacker(ctx context.Context, dir int, s *source, o Options) (*unpacker, error) {
	u := &unpacker{
		ctx: ctx, source: s, whiteouts: o.Whiteouts, root: &node{dir: true}, below: map[*node]string{},
		sums: o.Sums, content: content.NewWriter(ctx, o.Sums != nil, s.explain), limit: MaxEntries,
	}
	if err := u.adoptRoot(dir); err != nil {
		return nil, fmt.Errorf("unpack into layer directory: %w", err)
	}
	var err error
	if u.parents, err = newParents(u, dir); err == nil {
		u.targets, err = newParents(u, dir)
	}
	if err != nil {
		u.close()
		return nil, fmt.Errorf("open layer directory: %w", err)
	}
	return u, nil
}

// adoptRoot gives the root of a layer of its own the metadata of an implied directory; the root of the parents' tree
// keeps what it has.
func (u *unpacker) adoptRoot(dir int) error {
	if u.overlay() {
		u.root.setTime(inode.Implied().Mtime)
		return inode.Implied().WriteExceptTime(inode.File{Dir: dir, Name: "."})
	}
	st, err := inode.Fstat(dir)
	u.root.setTime(st.Mtim)
	return err
}

// overlay reports that the directory holds this layer alone and removals are recorded in it.
func (u *unpacker) overlay() bool { return u.whiteouts != nil }

func (u *unpacker) close() {
	for _, p := range []*parents{u.parents, u.targets} {
		if p != nil {
			p.close()
		}
	}
}

func (u *unpacker) entries() error {
	r := tar.NewReader(u.source)
	for {
		h, err := u.source.next(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // we resolve such names ourselves
			return fmt.Errorf("read layer: %w", u.source.explain(err))
		}
		if err := u.ctx.Err(); err != nil {
			return err
		}
		if u.seq++; u.seq > u.limit {
			return needs.Invalid("unpack: the layer has more than %d entries", u.limit)
		}
		if err := u.entry(h, r); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
}

// entry unpacks one entry: name, parent, removal or replacement, creation by type, metadata.
func (u *unpacker) entry(h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	n, err := parseName(h.Name)
	if err != nil {
		return err
	}
	switch n.purpose {
	case ignored:
		return nil
	case removes, isolates:
		return u.remove(n)
	case adds:
	}
	if n.path() == "" {
		return u.describeRoot(h)
	}
	if _, err := u.parents.walk(n.parent, toAdd); err != nil {
		return err
	}
	return u.create(n.base, h, body)
}

func (u *unpacker) describeRoot(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return needs.Invalid("only a directory can be the root")
	}
	m, err := header.Metadata(h)
	if err != nil {
		return err
	}
	if _, err := u.parents.walk("", onlyLook); err != nil {
		return err
	}
	root := u.parents.top()
	f := inode.File{Dir: root.fd, Name: "."}
	if err := f.DropXattrs(); err != nil {
		return err
	}
	if err := m.WriteExceptTime(f); err != nil {
		return err
	}
	u.root.seq = u.seq
	u.root.setTime(m.Mtime)
	root.acl = inode.HasDefaultACL(root.fd)
	return nil
}
