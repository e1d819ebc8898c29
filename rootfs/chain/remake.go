package chain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/layer/split"
	"github.com/lrun-dev/lrun/overlay"
)

// Remake unpacks one layer of src, which is damaged or not there, again (0 is the bottom), verifies it as Make does,
// and puts it in the place of what is there, in all chains that share it, at once; one that was not there it commits, and puts all
// that stands on it there. The layers below must be sound. free
// is called with the root locked, just before: when it fails, nothing is changed. What was there is deleted before
// Remake returns: nothing may have it mounted.
func (m *Maker) Remake(ctx context.Context, src Source, layer int, free func() error) (err error) {
	chains := src.Image.ChainIDs()
	st := &step{source: &src, layer: layer, chain: chains[layer].String(), diffID: src.Image.Config.RootFS.DiffIDs[layer]}
	if layer > 0 {
		st.parent = chains[layer-1].String()
	}
	u, err := m.begin(ctx, &Task{Sources: []Source{src}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.end(ctx)) }()
	if err := u.lockLayers(ctx, []digest.Digest{st.diffID}); err != nil {
		return err
	}
	_, gone := m.snapshots.Stat(ctx, st.chain)
	if err := u.remake(ctx, st); err != nil {
		return fmt.Errorf("unpack %s: %w", st, err)
	}
	return u.Locked(ctx, func() error {
		_, err := m.snapshots.Stat(ctx, st.chain)
		if gone != nil && err == nil { // somebody else has made it
			return nil
		}
		if err := free(); err != nil {
			return err
		}
		if gone != nil {
			return u.restore(ctx, st)
		}
		return m.exchange(ctx, st.chain, st.tree.key)
	})
}

// restore commits st, on which others stand. The root is locked.
func (u *session) restore(ctx context.Context, st *step) error {
	err := u.commitTree(ctx, st, map[string]string{LabelDiffID: st.diffID.String()})
	if err == nil {
		err = u.snapshots.SyncNames()
	}
	if err == nil {
		_, err = u.snapshots.Relink(ctx)
	}
	return err
}

// takeOver gives the directory to the split data of the directory from, if there is some: it is as good beside the same files.
func takeOver(from, to string, sync atomicfile.Sync) error {
	err := os.Link(filepath.Join(from, split.FileName), filepath.Join(to, split.FileName))
	if err == nil {
		err = sync.Dir(to)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// exchange gives two snapshots each other's bytes at once. The root is locked: nobody makes a snapshot on either, and
// nobody removes them.
func (m *Maker) exchange(ctx context.Context, name, key string) error {
	a, err := m.snapshots.ManifestPath(ctx, name)
	b, keyErr := m.snapshots.ManifestPath(ctx, key)
	if err := errors.Join(err, keyErr); err != nil {
		return err
	}
	a, b = filepath.Dir(a), filepath.Dir(b)
	if err := takeOver(a, b, m.snapshots.Sync()); err != nil {
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("exchange %q and %q: %w", a, b, err)
	}
	return m.snapshots.Sync().Dir(filepath.Dir(a))
}

// remake unpacks, settles and syncs the layer of st.
func (u *session) remake(ctx context.Context, st *step) error {
	var err error
	if u.unordered {
		err = u.unpack(ctx, st, u.nextKey(), "", overlay.Whiteouts{})
		if err == nil && (!st.tree.applied.Needs.Empty() || st.tree.applied.Needs.Root) {
			err = u.settle(ctx, st)
		}
	} else {
		err = u.unpack(ctx, st, u.nextKey(), st.parent, nil)
	}
	if err == nil {
		err = u.writeManifest(ctx, st.tree)
	}
	if err != nil {
		return err
	}
	return errors.Join(u.snapshots.Sync().Filesystem(st.tree.dir), st.tree.weigh(ctx))
}
