package chain

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/rootfs/chain/lock"
)

// Files below ROOT/unpack, all of them empty and there only while somebody holds their lock (or died
// with it): one for each session, one for each layer that a session unpacks.
const (
	unpackDir     = "unpack"
	sessionPrefix = "session-"
	layerPrefix   = "layer-"
)

// session is one attempt at one task in one process. The active snapshots that it makes have keys
// with its id in them; while its lock is held, no sweep touches them.
type session struct {
	*Maker
	task   *Task
	report *reporter
	id     string
	locks  []*flock.Lock // the session's own first
	held   map[digest.Digest]bool
	count  int // of keys

	plan      *plan
	committed []string // chains that this session made, parents first
}

// begin starts a session. The caller ends it.
func (m *Maker) begin(ctx context.Context, t *Task) (*session, error) {
	dir := filepath.Join(m.root, unpackDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	u := &session{
		Maker: m, task: t, report: &reporter{fn: t.Progress},
		id: strings.ToLower(rand.Text()), held: map[digest.Digest]bool{}, plan: &plan{},
	}
	if err := u.lock(ctx, sessionPrefix+u.id); err != nil {
		return nil, err
	}
	return u, nil
}

// lock takes and keeps the lock of one file below ROOT/unpack.
func (u *session) lock(ctx context.Context, name string) error {
	l, err := lock.Wait(ctx, flock.Exclusive, filepath.Join(u.root, unpackDir, name), lock.Drop)
	if err != nil {
		return fmt.Errorf("lock %q: %w", name, err)
	}
	u.locks = append(u.locks, l)
	return nil
}

// lockLayers takes the locks of layers, so that of all processes only this one unpacks them. All
// sessions take theirs in one order and in one call, so that none waits for another in a circle.
func (u *session) lockLayers(ctx context.Context, diffIDs []digest.Digest) error {
	for _, d := range slices.Compact(slices.Sorted(slices.Values(diffIDs))) {
		if err := u.lock(ctx, layerPrefix+d.Algorithm().String()+"-"+d.Encoded()); err != nil {
			return err
		}
		u.held[d] = true
	}
	return nil
}

// nextKey returns a key of the session for another active snapshot.
func (u *session) nextKey() string {
	u.count++
	return unpackDir + "-" + u.id + "-" + strconv.Itoa(u.count)
}

// KeySession returns the id of the session that the key of an active snapshot belongs to, if any.
func KeySession(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, unpackDir+"-")
	if !ok {
		return "", false
	}
	id, _, ok := strings.Cut(rest, "-")
	return id, ok
}

// discard removes the session's active snapshots.
func (u *session) discard(ctx context.Context) error {
	var errs []error
	for u.count > 0 {
		key := unpackDir + "-" + u.id + "-" + strconv.Itoa(u.count)
		if err := u.snapshots.Remove(ctx, key); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, err)
		}
		u.count--
	}
	return errors.Join(errs...)
}

// end removes the session's active snapshots and then gives up its locks.
func (u *session) end(ctx context.Context) error {
	errs := []error{u.discard(context.WithoutCancel(ctx))} // Ctrl-C leaves nothing behind
	slices.Reverse(u.locks)
	for _, l := range u.locks {
		errs = append(errs, lock.Drop(l))
	}
	return errors.Join(errs...)
}

// Alive tells whether the session that LabelSession names is still at work. Of one that has ended it
// never says so again.
func (m *Maker) Alive(id string) (bool, error) {
	l, free, err := lock.Try(filepath.Join(m.root, unpackDir, sessionPrefix+id))
	if l != nil {
		err = errors.Join(err, l.Unlock())
	}
	return !free, err
}
