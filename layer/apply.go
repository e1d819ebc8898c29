package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/opencontainers/go-digest"
)

// Whiteouts writes removals down in a layer's own directory, in the form of the filesystem that will show it.
type Whiteouts interface {
	// Whiteout hides name of the layers below dir. The name does not exist in dir.
	Whiteout(dir *os.File, name string) error
	// Opaque hides all that the layers below have in dir. It may be called twice for one directory.
	Opaque(dir *os.File) error
}

// ApplyOptions says how a layer is unpacked.
type ApplyOptions struct {
	// Whiteouts records removals in dir, which holds this layer alone and begins empty. When it is nil, dir already
	// holds the tree of the parents, and what a whiteout names is removed from it.
	Whiteouts Whiteouts
}

// Applied is what became of a layer.
type Applied struct {
	// DiffID is the sha256 digest of the whole stream, with everything after the end of the archive.
	DiffID digest.Digest
	// Size is the sum of the sizes of the regular files.
	Size int64
	// Entries is the number of tar entries, whiteouts included.
	Entries int
	// Needs is what Settle has to do before the layer is complete; empty without ApplyOptions.Whiteouts.
	Needs Needs
}

// Apply unpacks the uncompressed tarStream into dir and reads it to its end. It needs root, for owners and devices.
//
// Names are resolved as if dir were the root of the filesystem: nothing outside is read or changed. Symbolic links
// among the parents are followed inside dir. Of several entries of one name the last one wins; a whiteout removes
// what the parents have and never what this layer adds, wherever in the stream it stands (OCI image spec, layer.md).
// Directories that the tar uses without holding them get mode 0755, owner 0:0 and the time 0 where the parents do
// not have them. An entry that cannot be made, or that would disturb overlayfs (its own xattrs, a character device
// 0:0), is ErrInvalidArgument and named; a damaged stream is ErrDataLoss.
//
// On any error, and when ctx ends, dir holds part of the layer and is to be thrown away. tarStream is not used after
// Apply returns; a Read that blocks is waited for. Nothing is synced.
func Apply(ctx context.Context, dir *os.File, tarStream io.Reader, o ApplyOptions) (Applied, error) {
	defer runtime.KeepAlive(dir)
	s := newStream(ctx, tarStream)
	defer s.close()
	u, err := newUnpacker(ctx, int(dir.Fd()), s, o)
	if err != nil {
		return Applied{}, err
	}
	defer u.close()
	if err := u.entries(tar.NewReader(s)); err != nil {
		return Applied{}, err
	}
	id, err := s.drain()
	if err != nil {
		return Applied{}, err
	}
	needs, err := u.finish()
	if err != nil {
		return Applied{}, err
	}
	return Applied{DiffID: id, Size: u.size, Entries: u.seq, Needs: needs}, nil
}

// unpacker is one Apply.
type unpacker struct {
	ctx       context.Context
	stream    *stream
	whiteouts Whiteouts
	root      *node
	parents   *parents // of the entries
	targets   *parents // of hard links' targets
	links     []waiting
	seq       int
	size      int64
	buf       []byte
}

func newUnpacker(ctx context.Context, dir int, s *stream, o ApplyOptions) (*unpacker, error) {
	u := &unpacker{ctx: ctx, stream: s, whiteouts: o.Whiteouts, root: &node{dir: true}, buf: make([]byte, chunkSize)}
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
		u.root.setTime(impliedMetadata().mtime)
		return impliedMetadata().writeExceptTime(inode{dir, ".", -1})
	}
	st, err := fstat(dir)
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

func (u *unpacker) entries(r *tar.Reader) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // we resolve such names ourselves
			return fmt.Errorf("read layer: %w", u.stream.explain(err))
		}
		u.seq++
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
		return invalid("only a directory can be the root")
	}
	m, err := headerMetadata(h)
	if err != nil {
		return err
	}
	if _, err := u.parents.walk("", onlyLook); err != nil {
		return err
	}
	i := inode{u.parents.top().fd, ".", u.parents.top().fd}
	if err := i.dropXattrs(); err != nil {
		return err
	}
	if err := m.writeExceptTime(i); err != nil {
		return err
	}
	u.root.seq = u.seq
	u.root.setTime(m.mtime)
	u.parents.top().acl = hasDefaultACL(i.fd)
	return nil
}
