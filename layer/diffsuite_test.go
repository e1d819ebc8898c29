package layer_test

import (
	"context"
	"errors"
	"testing"

	"github.com/containerd/continuity/fs/fstest"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// applier is what continuity's suite drives: each change of a chain is done in a tree, diffed, and applied elsewhere.
type applier struct {
	t       *testing.T
	applied *string // the tree that the diffs make
}

// TestContext implements fstest.TestApplier.
func (a applier) TestContext(ctx context.Context) (context.Context, func(), error) {
	*a.applied = tempDir(a.t)
	return ctx, func() {}, nil
}

// Apply implements fstest.TestApplier.
func (a applier) Apply(_ context.Context, change fstest.Applier) (string, func(), error) {
	var failed error
	do := func(root string) { failed = change.Apply(root) }
	tar := onCopies(a.t, *a.applied, do).roundTrip(a.t)
	return *a.applied, nil, errors.Join(failed, apply(a.t, *a.applied, tar))
}

// TestDiffSuite runs on copies alone: the suite writes to files with two names, which on overlayfs become two files.
func TestDiffSuite(t *testing.T) {
	testutil.RequireRoot(t)
	fstest.FSSuite(t, applier{t: t, applied: new(string)})
}
