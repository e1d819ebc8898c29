package integration

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/layertest/corpus"
	"github.com/lrun-dev/lrun/layer/layertest/corpus/archives"
)

// longEnv has the tests of the corpus try its long cases too, and load every stack.
const longEnv = "LRUN_TEST_CORPUS_LONG"

// selection is what of the corpus is loaded: rootfs/chain.TestCorpus makes all stacks with every driver.
type selection struct {
	accepted int // stacks of a kind
	refused  int // stacks or archives of a kind
	layers   int // of what is accepted
}

// corpusMemory is the most, in KiB, that one command may take for any case of the corpus.
const corpusMemory = 96 << 10

// takes decides on a case of so many layers that has a name and the class of its error. taken is how many there were of each kind.
func (s selection) takes(taken map[string]int, name string, class error, layers int) bool {
	kind, _, _ := strings.Cut(name, ":")
	limit := s.refused
	if class == nil {
		kind, limit = "accepted "+kind, s.accepted
	}
	if class == nil && layers > s.layers || taken[kind] >= limit {
		return false
	}
	taken[kind]++
	return true
}

// TestCorpus gives every archive and every stack of layers of the corpus to the binary, one process for each that is to be refused,
// all on one root: the message is one line that says where, the store is as it was, and so is a directory outside that the
// hostile ones want. What is accepted is the tree that it should be, as its export and as its container see it.
func TestCorpus(t *testing.T) {
	testutil.RequireRoot(t)
	t.Run("driver", func(t *testing.T) {
		testutil.InMemory(t) // hundreds of small images, each synced
		checkCorpus(t, cmp.Or(os.Getenv(driverEnv), "overlayfs"), selection{2, 1000, 130})
	})
	t.Run("btrfs", func(t *testing.T) {
		testutil.Btrfs(t)
		checkCorpus(t, "btrfs", selection{1, 1, 10}) // a subvolume takes its time, and so does a sync
	})
}

// corpusTest is a root that the corpus is given to.
type corpusTest struct {
	*testing.T

	work    string // of all that follows
	outside string
	fast    bool // without syncs
	lrun    *caller
	store   string // its listing before
	watched string // the hash of outside before
	peak    *int64
}

func checkCorpus(t *testing.T, driver string, some selection) {
	long := os.Getenv(longEnv) != ""
	if long {
		some = selection{1000, 1000, 1000}
	}
	c := &corpusTest{T: t, work: t.TempDir(), fast: driver == "btrfs", peak: new(int64)}
	t.Cleanup(func() {
		if err := takeAway(c.work); err != nil {
			t.Error(err)
		}
	})
	c.outside = filepath.Join(c.work, "outside")
	c.lrun = newCaller(t, append(os.Environ(), "LRUN_ROOT="+c.root(), "LRUN_STATE="+filepath.Join(c.work, "state"), "LRUN_DRIVER="+driver))
	first := filepath.Join(c.work, "archive.tar")
	stacks, images := corpus.Layers(c.outside), archives.All(image.HostPlatform())
	err := errors.Join(
		os.MkdirAll(filepath.Join(c.outside, "sub"), 0o755),
		os.WriteFile(filepath.Join(c.outside, "secret"), []byte("secret"), 0o600),
		os.Symlink("secret", filepath.Join(c.outside, "link")),
		os.WriteFile(first, images[0].Archive, 0o600), // so that all places are there
	)
	if err != nil {
		t.Fatal(err)
	}
	programs := c.programs()
	c.must("load", "-q", "-i", first)
	id := c.must("images", "-q")
	c.must("run", "--rm", "--network", "none", "-v", programs+":/.programs:ro", id, "/.programs/busybox", "true")
	c.must("rmi", id)
	c.store, c.watched = c.listing(), testutil.TreeHash(t, c.outside)
	taken := map[string]int{}
	for _, im := range images {
		class := cmp.Or(im.Refused, im.Unpacked)
		if class == nil && im.Layers <= some.layers || class != nil && some.takes(taken, im.Name, class, 0) {
			t.Run(im.Name, func(t *testing.T) { c.on(t).archive(im) })
		}
	}
	var accepted []corpus.Case
	for _, stack := range stacks {
		switch {
		case stack.Long && !long || !some.takes(taken, stack.Name, stack.Refused, len(stack.Layers)):
		case stack.Refused == nil:
			accepted = append(accepted, stack)
		default:
			t.Run(stack.Name, func(t *testing.T) {
				c.on(t).refused(archives.Archive(image.HostPlatform(), stack), stack.Refused)
			})
		}
	}
	c.accepted(accepted, programs)
	t.Logf("the most that a command took is %d MiB", *c.peak>>10)
}

// on is c with the test of one case.
func (c *corpusTest) on(t *testing.T) *corpusTest {
	of := *c
	of.T = t
	return &of
}

func (c *corpusTest) root() string { return filepath.Join(c.work, "root") }

// call runs lrun, whose memory is bounded.
func (c *corpusTest) call(args ...string) answer {
	c.Helper()
	if c.fast {
		args = append([]string{"--no-sync"}, args...)
	}
	a, err := c.lrun.call(args...)
	if err != nil {
		c.Fatal(err)
	}
	if *c.peak = max(*c.peak, a.Peak); a.Peak > corpusMemory {
		c.Errorf("lrun %q took %d KiB of memory", args, a.Peak)
	}
	return a
}

// must runs lrun, which must succeed.
func (c *corpusTest) must(args ...string) string {
	c.Helper()
	a := c.call(args...)
	if a.Code != 0 || a.Err != "" {
		c.Fatalf("lrun %q: exit code %d: %s", args, a.Code, a.Err)
	}
	return strings.TrimSpace(a.Out)
}

// listing tells the root and the state directory.
func (c *corpusTest) listing() string {
	c.Helper()
	var b bytes.Buffer
	for _, dir := range []string{c.root(), filepath.Join(c.work, "state")} {
		if err := filepath.WalkDir(dir, lister{&b}.list); err != nil {
			c.Fatal(err)
		}
	}
	return b.String()
}

// unchanged compares what is there now with what was there before the first case.
func (c *corpusTest) unchanged() {
	c.Helper()
	if now := c.listing(); now != c.store {
		c.Errorf("the store has changed:\n%s", layertest.Diff(strings.Split(now, "\n"), strings.Split(c.store, "\n")))
	}
	names, err := os.ReadDir(c.work)
	if err != nil || len(names) != 4 || testutil.TreeHash(c, c.outside) != c.watched {
		c.Errorf("something outside has changed: %v, %v", names, err)
	}
}

// where is how a message says what is wrong: by a digest, a file of the archive, or an entry of a layer in quotation marks.
var where = regexp.MustCompile(`[0-9a-f]{64}|[a-z]+\.json|oci-layout|repositories|[0-9.]+/[a-z./]+|".+"`)

// refused loads an archive, which must fail as the class of the error demands.
func (c *corpusTest) refused(archive []byte, class error) {
	c.Helper()
	file := filepath.Join(c.work, "archive.tar")
	if err := os.WriteFile(file, archive, 0o600); err != nil {
		c.Fatal(err)
	}
	a := c.call("load", "-q", "-i", file)
	message, rest, _ := strings.Cut(a.Err, "\n")
	if a.Code != 1 || a.Out != "" || rest != "" || !strings.HasPrefix(message, "lrun: ") || len(message) > 8<<10 {
		c.Errorf("exit code %d, output %q, messages %.2000q", a.Code, a.Out, a.Err)
	}
	if !where.MatchString(message) {
		c.Errorf("it does not say where: %s", message)
	}
	if errors.Is(class, unix.ENOSPC) { // whose blobs are kept for another try
		kept := filepath.Join(c.root(), "ingest", blob.KeptDir)
		if entries, err := os.ReadDir(kept); err != nil || len(entries) == 0 {
			c.Errorf("no blobs were kept, %v", err)
		}
		if err := os.RemoveAll(kept); err != nil {
			c.Fatal(err)
		}
	}
	c.unchanged()
}

// archive loads an archive of one image.
func (c *corpusTest) archive(im archives.Image) {
	c.Helper()
	if class := cmp.Or(im.Refused, im.Unpacked); class != nil {
		c.refused(im.Archive, class)
		return
	}
	file := filepath.Join(c.work, "archive.tar")
	if err := os.WriteFile(file, im.Archive, 0o600); err != nil {
		c.Fatal(err)
	}
	_, name, loaded := strings.Cut(c.must("load", "-q", "-i", file), ": ")
	if !loaded || strings.Contains(name, "\n") {
		c.Fatalf("loaded %q", name)
	}
	c.tree(name, im.Tree)
	c.must("rmi", name)
	c.unchanged()
}

// tree compares the export of a container of an image with the tree that it should be.
func (c *corpusTest) tree(name string, want []string) {
	c.Helper()
	file := filepath.Join(c.work, "export.tar")
	container := c.must("create", name, "/program")
	c.must("export", "-o", file, container)
	c.must("rm", container)
	dir, err := os.MkdirTemp(os.TempDir(), "tree-")
	if err != nil {
		c.Fatal(err)
	}
	got, err := unpacked(file, dir)
	if err := errors.Join(err, os.RemoveAll(dir), os.Remove(file)); err != nil {
		c.Fatal(err)
	}
	isRoot := func(line string) bool { return strings.HasPrefix(line, "/ ") } // an export has all but that
	got, want = slices.DeleteFunc(got, isRoot), slices.DeleteFunc(slices.Sorted(slices.Values(want)), isRoot)
	if !slices.Equal(got, want) {
		c.Errorf("it is another tree:\n%s", layertest.Diff(got, want))
	}
}

// unpacked tells the tree that is in a tar. It is made in dir.
func unpacked(tar, dir string) ([]string, error) {
	f, err := os.Open(tar)
	if err != nil {
		return nil, err
	}
	to, err := os.Open(dir)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	_, err = layer.Apply(context.Background(), to, f, layer.ApplyOptions{})
	if err := errors.Join(err, f.Close(), to.Close()); err != nil {
		return nil, err
	}
	return corpus.Describe(dir)
}

// accepted loads stacks that are accepted, at once, and exports and runs each.
func (c *corpusTest) accepted(stacks []corpus.Case, programs string) {
	file := filepath.Join(c.work, "archive.tar")
	if err := os.WriteFile(file, archives.Archive(image.HostPlatform(), stacks...), 0o600); err != nil {
		c.Fatal(err)
	}
	if n := strings.Count(c.must("load", "-q", "-i", file)+"\n", "Loaded image: "); n != len(stacks) {
		c.Fatalf("%d images loaded, not %d", n, len(stacks))
	}
	for i, stack := range stacks {
		c.Run(stack.Name, func(t *testing.T) {
			c := c.on(t)
			c.tree(archives.Name(i), stack.Tree)
			c.sees(archives.Name(i), programs, stack.Tree)
		})
	}
	c.must(append([]string{"rmi"}, strings.Fields(c.must("images", "-q"))...)...)
	c.unchanged()
}

// programs makes a directory with a program for containers that have none.
func (c *corpusTest) programs() string {
	dir := filepath.Join(c.outside, "programs")
	program, err := hostFile("busybox")
	if err := errors.Join(err, os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "busybox"), program, 0o755)); err != nil {
		c.Fatal(err)
	}
	return dir
}

// plain is the line of a file that a container sees as it is.
var plain = regexp.MustCompile(`^([a-zA-Z0-9/]{1,1000}) = ([a-z]+)( |$)`)

// sees runs a container of an image, in which a file of its tree is as it should be.
func (c *corpusTest) sees(name, programs string, tree []string) {
	c.Helper()
	command, want := []string{"true"}, ""
	for _, line := range tree {
		m := plain.FindStringSubmatch(line)
		if m != nil && !slices.Contains([]string{"dev", "proc", "sys"}, strings.Split(m[1], "/")[0]) {
			command, want = []string{"cat", "/" + m[1]}, m[2]
		}
	}
	args := []string{"run", "--rm", "--network", "none", "-v", programs + ":/.programs:ro", name, "/.programs/busybox"}
	if got := c.must(append(args, command...)...); got != want {
		c.Errorf("the container sees %q in %s, not %q", got, command[1:], want)
	}
}
