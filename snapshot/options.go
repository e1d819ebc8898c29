package snapshot

import (
	"fmt"
	"unicode/utf8"

	"github.com/containerd/errdefs"
)

// Opt changes how a snapshot is made or committed. One that the call does not know is refused.
type Opt func(*options)

type options struct {
	labels     map[string]string
	parent     *string
	size, disk int64
	limit      *Limit

	volatile, synced, more bool
}

// WithLabels gives the snapshot these labels, UTF-8, and no others.
func WithLabels(labels map[string]string) Opt { return func(o *options) { o.labels = labels } }

// WithParent makes Commit put an active snapshot that has no parent on the committed name, so that
// layers can be filled in any order. The driver must be a Rebaser.
func WithParent(name string) Opt { return func(o *options) { o.parent = &name } }

// WithVolatile makes Prepare and View sync nothing. After a crash of the machine such a snapshot
// cannot be mounted, only removed.
func WithVolatile() Opt { return func(o *options) { o.volatile = true } }

// WithLimit makes Prepare bound what the snapshot may take; nil is no limit. Such a snapshot is never committed. A driver that
// cannot is errdefs.ErrNotImplemented.
func WithLimit(l *Limit) Opt { return func(o *options) { o.limit = l } }

// WithSynced tells Commit that the caller has called syncfs(2) on the store's filesystem after the
// last write to the snapshot; otherwise Commit calls it.
func WithSynced() Opt { return func(o *options) { o.synced = true } }

// WithMore tells Commit and Adopt that others follow and that the caller calls SyncNames after the last: until then a crash
// of the machine may undo the last of them, which spares a sync for each.
func WithMore() Opt { return func(o *options) { o.more = true } }

// WithSize makes Commit and Adopt record a size in bytes, which Stat and Walk return for nothing. 0 is none.
func WithSize(n int64) Opt { return func(o *options) { o.size = n } }

// WithDisk makes Commit record how many bytes on disk the directory data/ID takes, with all that is in it. Snapshots that Adopt
// makes have what the one has whose bytes they share.
func WithDisk(n int64) Opt { return func(o *options) { o.disk = n } }

// collect applies opts.
func collect(opts []Opt) (options, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	for k, v := range o.labels {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return o, fmt.Errorf("label %q=%q is not UTF-8: %w", k, v, errdefs.ErrInvalidArgument)
		}
	}
	return o, nil
}

// refuse fails when an option was given that the verb has no use for.
func refuse(verb string, given map[string]bool) error {
	for name, is := range given {
		if is {
			return fmt.Errorf("%s takes no %s: %w", verb, name, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}
