package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/rootfs/chain/full"
	"github.com/lrun-dev/lrun/snapshot"
)

// Make makes the chains of all images of t complete and finishes t, or changes nothing. Each layer is
// verified against the DiffID that the image's config says, whether it must be unpacked or, with Task.DiffID, is there
// already; one that differs is errdefs.ErrDataLoss.
// An image with more layers than overlayfs stacks is errdefs.ErrInvalidArgument. A layer that several
// processes need at once is unpacked by one, the others wait for it. What somebody else removes
// meanwhile is made again.
func (m *Maker) Make(ctx context.Context, t Task) error {
	return Retry(func() (err error) {
		u, err := m.begin(ctx, &t)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, u.end(ctx)) }()
		return u.run(ctx)
	})
}

// run is one attempt.
func (u *session) run(ctx context.Context) error {
	before := full.Look(u.root)
	if err := u.make(ctx); err != nil {
		if errdefs.IsConflict(err) || errors.Is(u.stillThere(ctx), ErrChanged) { // what it read had perhaps no files any more
			err = errors.Join(ErrChanged, err)
		}
		return errors.Join(before.Explain(err, u.layers), u.retract(ctx))
	}
	locked := false
	err := u.Locked(ctx, func() error {
		locked = true
		err := u.publish(ctx)
		if err != nil {
			err = errors.Join(before.Explain(err, u.layers), u.retractLocked(ctx))
		}
		return err
	})
	if !locked {
		err = errors.Join(err, u.retract(ctx))
	}
	return err
}

// make unpacks what the images miss, and syncs it. No lock of the root is held.
func (u *session) make(ctx context.Context) (err error) {
	if u.plan, err = u.newPlan(ctx, u.task, &reporter{}); err != nil {
		return err
	}
	if err := u.lockLayers(ctx, u.plan.diffIDs()); err != nil {
		return err
	}
	// Once more: whoever had the locks has probably made the layers. Only now other chains are looked at, all of them.
	if u.plan, err = u.newPlan(ctx, u.task, u.report); err == nil {
		err = u.findDonors(ctx, u.task, u.plan)
	}
	if err != nil {
		return err
	}
	for _, d := range u.plan.diffIDs() {
		if !u.held[d] {
			return fmt.Errorf("layer %s went away: %w", d, ErrChanged)
		}
	}
	if !u.unordered {
		err = u.unpackInOrder(ctx)
	} else if err = u.unpackApart(ctx); err == nil {
		if err = u.settleAll(ctx); err == nil {
			err = u.writeManifests(ctx)
		}
	}
	if err == nil {
		err = u.verifyOthers(ctx)
	}
	if err != nil {
		return err
	}
	if err := u.syncAll(); err != nil || !u.unordered {
		return err
	}
	return u.weighAll(ctx)
}

// verifyOthers verifies the layers that need not be unpacked: what is there was perhaps unpacked from another blob.
func (u *session) verifyOthers(ctx context.Context) error {
	for _, st := range slices.Concat(u.plan.there, u.plan.steps) {
		if u.task.DiffID == nil || st.tree != nil || st.like != nil && st.like.blob().Digest == st.blob().Digest {
			continue
		}
		found, err := u.task.DiffID(ctx, st.source, st.layer)
		if err == nil {
			err = st.verify(found)
		}
		if err != nil {
			return fmt.Errorf("verify %s: %w", st, err)
		}
	}
	return nil
}

// syncAll makes the layers and what the caller has written durable; with usually one syncfs.
func (u *session) syncAll() error {
	done := map[uint64]bool{}
	if u.task.Sync != nil {
		if err := u.task.Sync(); err != nil {
			return err
		}
		done[device(u.root)] = true
	}
	for _, st := range u.plan.steps {
		if st.tree == nil || done[device(st.tree.dir)] {
			continue
		}
		if err := u.snapshots.Sync().Filesystem(st.tree.dir); err != nil {
			return err
		}
		done[device(st.tree.dir)] = true
	}
	return nil
}

// device returns the number of the file system of path; 0 when it is not known.
func device(path string) uint64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Dev
}

// publish commits what was unpacked and finishes the task. The root is locked.
func (u *session) publish(ctx context.Context) error {
	if err := u.stillThere(ctx); err != nil {
		return err
	}
	if u.unordered {
		for _, st := range u.plan.steps {
			if err := u.commit(ctx, st); err != nil {
				return fmt.Errorf("commit %s: %w", st, err)
			}
		}
	}
	// Before anything names them, and those that a killed process has made and not synced.
	if err := u.snapshots.SyncNames(); err != nil {
		return err
	}
	return u.task.Finish(ctx)
}

// stillThere returns ErrChanged when a snapshot that the plan counts on has gone, also if it was made again: what was read
// meanwhile may be half of what was there.
func (u *session) stillThere(ctx context.Context) error {
	for _, name := range slices.AppendSeq(slices.Clone(u.committed), maps.Keys(u.plan.seen)) {
		was, known := u.plan.seen[name]
		now, err := u.snapshots.Stat(ctx, name)
		if errdefs.IsNotFound(err) || err == nil && known && !same(now, was) {
			return fmt.Errorf("snapshot %s went away: %w", name, ErrChanged)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// same tells that one snapshot was not removed and made again: that may give it its id again, but never the time.
func same(a, b snapshot.Info) bool { return a.ID == b.ID && a.Created.Equal(b.Created) }

// commit makes the committed snapshot of st.
func (u *session) commit(ctx context.Context, st *step) error {
	labels := map[string]string{LabelDiffID: st.diffID.String()}
	maps.Copy(labels, u.task.Labels)
	donor := st.donor
	if st.like != nil {
		donor = st.like.chain
	}
	var err error
	if donor != "" {
		err = u.share(ctx, st, donor, labels)
	} else {
		err = u.commitTree(ctx, st, labels)
	}
	if errdefs.IsAlreadyExists(err) {
		return nil // another process was faster; the end of the session removes ours
	}
	if err == nil {
		u.committed = append(u.committed, st.chain)
	}
	return err
}

// commitTree commits what was unpacked for st.
func (u *session) commitTree(ctx context.Context, st *step, labels map[string]string) error {
	needs := st.tree.applied.Needs
	if needs.Root {
		labels[LabelRoot] = "true"
	}
	if !needs.Empty() {
		labels[LabelSettled] = "true"
	}
	o := []snapshot.Opt{snapshot.WithLabels(labels), snapshot.WithSize(st.tree.applied.Size), snapshot.WithDisk(st.tree.disk)}
	if !u.unordered {
		labels[LabelSession] = u.id
		return u.snapshots.Commit(ctx, st.chain, st.tree.key, o...)
	}
	o = append(o, snapshot.WithSynced(), snapshot.WithMore())
	if st.parent != "" {
		o = append(o, snapshot.WithParent(st.parent))
	}
	return u.snapshots.Commit(ctx, st.chain, st.tree.key, o...)
}

// share commits st with the bytes of donor.
func (u *session) share(ctx context.Context, st *step, donor string, labels map[string]string) error {
	info, err := u.snapshots.Stat(ctx, donor)
	if err != nil {
		return err
	}
	if v := info.Labels[LabelRoot]; v != "" {
		labels[LabelRoot] = v
	}
	return u.snapshots.Adopt(ctx, st.chain, st.parent, donor, snapshot.WithLabels(labels), snapshot.WithMore())
}

// retract is retractLocked when the root is not locked yet.
func (u *session) retract(ctx context.Context) error {
	if len(u.committed) == 0 {
		return nil // the end of the session does the rest
	}
	return u.Locked(context.WithoutCancel(ctx), func() error { return u.retractLocked(ctx) })
}

// retractLocked takes back what the failed task has committed.
func (u *session) retractLocked(ctx context.Context) error {
	if len(u.committed) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	err := u.discard(ctx) // they may stand on what is removed next
	slices.Reverse(u.committed)
	return errors.Join(err, u.task.Retract(ctx, u.committed))
}

// layers returns what is to be unpacked, and what was; those that share another's bytes aside.
func (u *session) layers() (list []full.Layer) {
	for _, st := range u.plan.steps {
		switch {
		case st.tree != nil:
			list = append(list, full.Layer{Unpacked: st.tree.applied.Size})
		case st.like == nil && st.donor == "":
			list = append(list, full.Layer{Blob: st.blob().Size, Open: func() (io.ReadCloser, error) { return st.source.Open(st.layer) }})
		}
	}
	return list
}
