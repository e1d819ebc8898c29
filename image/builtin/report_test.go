package builtin_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image/builtin"
)

// outcome is that of a run in which nothing went wrong.
func outcome() builtin.Outcome {
	lower := func(path string) builtin.Lower {
		d := digest.FromString(path)
		return builtin.Lower{Path: "/var/lib/lrun/snapshots/overlayfs/data/" + path + "/fs", Before: d, After: d}
	}
	return builtin.Outcome{
		Lowers:    []builtin.Lower{lower("49d1c81e0f20a6b7"), lower("8a3e90b1ff04c2d5"), lower("c05512be7738a0e1")},
		Written:   "/var/lib/lrun/snapshots/overlayfs/data/e71b93d2a8f64c05/fs/hello/written.txt",
		Container: "brave_curie",
	}
}

func ExampleReport() {
	if err := builtin.Report(os.Stdout, outcome()); err != nil {
		panic(err)
	}
	// Output:
	// The container has ended. lrun hashed the layers below before it started and again now:
	// every name, mode, owner, time, attribute and byte.
	//
	//   layer 3   unchanged   sha256:e8c6fc1ca00c   /var/lib/lrun/snapshots/overlayfs/data/c05512be7738a0e1/fs
	//   layer 2   unchanged   sha256:f2b80fb0c82d   /var/lib/lrun/snapshots/overlayfs/data/8a3e90b1ff04c2d5/fs
	//   layer 1   unchanged   sha256:1b50b47cd037   /var/lib/lrun/snapshots/overlayfs/data/49d1c81e0f20a6b7/fs
	//
	// What the program wrote went to the container's own directory, not into a layer:
	//
	//   /var/lib/lrun/snapshots/overlayfs/data/e71b93d2a8f64c05/fs/hello/written.txt
	//
	// Try next:
	//
	//   lrun load -i IMAGE.tar             load an image that docker save, podman save or skopeo wrote
	//   lrun images                        list the images that lrun has
	//   lrun run -it --name box IMAGE sh   start a shell in a container of it
	//   lrun rm brave_curie                remove this container and what it wrote
}

func TestReportOfARemovedContainer(t *testing.T) {
	o := outcome()
	o.Container = ""
	var out bytes.Buffer
	if err := builtin.Report(&out, o); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "lrun rm") || !strings.Contains(got, o.Written+"\n\nIt is gone already: --rm") {
		t.Errorf("speaks of what is gone:\n%s", got)
	}
}

func TestReportOfAReadOnlyContainer(t *testing.T) {
	o := outcome()
	o.Written = ""
	var out bytes.Buffer
	if err := builtin.Report(&out, o); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "program wrote") || !strings.Contains(got, "lrun rm "+o.Container) {
		t.Errorf("speaks of what was not written:\n%s", got)
	}
}

func TestReportOfAChangedLayer(t *testing.T) {
	o := outcome()
	o.Lowers[1].After = digest.FromString("changed")
	var out bytes.Buffer
	err := builtin.Report(&out, o)
	if !errdefs.IsDataLoss(err) {
		t.Fatalf("error %v, want data loss", err)
	}
	for _, want := range []string{"layer 2", o.Lowers[1].Path, o.Lowers[1].Before.String(), o.Lowers[1].After.String()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if got := out.String(); strings.Count(got, " unchanged ") != 2 || strings.Count(got, " CHANGED ") != 1 {
		t.Errorf("the output hides it:\n%s", got)
	}
}

func TestReportOfNoDigest(t *testing.T) {
	var out bytes.Buffer
	err := builtin.Report(&out, builtin.Outcome{Lowers: []builtin.Lower{{Path: "/l", Before: "sha256:short", After: "sha256:short"}}})
	if err != nil || !strings.Contains(out.String(), "sha256:short") {
		t.Errorf("%v:\n%s", err, &out)
	}
}

func TestReportSaysThatNobodyReads(t *testing.T) {
	if err := builtin.Report(closedPipe{}, outcome()); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}
