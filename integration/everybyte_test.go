package integration

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// everyByteEnv is how many steps TestEveryByteHasARow makes, and everyByteSeed where its dice begin.
const (
	everyByteEnv  = "LRUN_DF_STEPS"
	everyByteSeed = "LRUN_DF_SEED"
)

// TestEveryByteHasARow does what users, and accidents, do to a root, in any order: after every step the rows of system df -v add up to
// what du says.
func TestEveryByteHasARow(t *testing.T) {
	testutil.RequireRoot(t)
	steps, err := strconv.Atoi(cmp.Or(os.Getenv(everyByteEnv), "30"))
	seed, seedErr := strconv.ParseUint(cmp.Or(os.Getenv(everyByteSeed), "1"), 10, 64)
	if err := errors.Join(err, seedErr); err != nil {
		t.Fatal(err)
	}
	b := newByteTest(t, seed)
	b.lrun("load", "-q", "-i", busyboxArchive())
	b.check("load")
	for n := range steps {
		op := b.operations()[b.dice.IntN(len(b.operations()))]
		what := fmt.Sprintf("step %d, seed %d: %s", n, seed, op.name)
		op.do()
		b.check(what)
		for _, repair := range b.repairs {
			repair()
		}
		b.repairs = nil
	}
	if b.Logf("%d of %d commands failed", b.failed, b.called); b.failed > b.called/2 {
		b.Error("too little was done for this to mean something")
	}
}

// byteTest is a root to which things are done.
type byteTest struct {
	*testing.T

	work    string
	dice    *rand.Rand
	count   int
	running int
	called  int      // commands
	failed  int      // commands
	repairs []func() // of what the step has damaged
}

func newByteTest(t *testing.T, seed uint64) *byteTest {
	work, err := os.MkdirTemp(filepath.Join(os.Getenv(workEnv), "w"), "bytes-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := takeAway(work); err != nil {
			t.Error(err)
		}
	})
	return &byteTest{T: t, work: work, dice: rand.New(rand.NewPCG(seed, 16))}
}

// operation is one thing that is done.
type operation struct {
	name string
	do   func()
}

// operations are all things that can be done. They may fail, for what they are about may be gone.
func (b *byteTest) operations() []operation {
	return []operation{
		{"load", func() { b.lrun("load", "-q", "-i", busyboxArchive()) }},
		{"load of several layers", b.loadRandom},
		{"import", b.importRandom},
		{"tag", func() { b.lrun("tag", b.image(), b.name("t")) }},
		{"create", func() { b.lrun("create", "--name", b.name("c"), "-v", "/anonymous", b.image(), "true") }},
		{"create with a volume", func() { b.lrun("create", "--name", b.name("c"), "-v", "vol:/v", "busybox", "true") }},
		{"run", func() { b.lrun("run", "--name", b.name("c"), b.image(), "sh", "-c", b.script()) }},
		{"run --rm", func() { b.lrun("run", "--rm", "-v", "vol:/v", b.image(), "sh", "-c", b.script()) }},
		{"run --userns auto", func() { b.lrun("run", "--name", b.name("c"), "--userns", "auto", "busybox", "sh", "-c", b.script()) }},
		{"run and stay", b.runAndStay},
		{"kill", func() { b.lrun("kill", b.container()) }},
		{"commit", func() { b.lrun("commit", b.container(), b.name("i")) }},
		{"rm", func() { b.lrun("rm", b.container()) }},
		{"rm -fv", func() { b.lrun("rm", "-fv", b.container()) }},
		{"rmi", func() { b.lrun("rmi", b.image()) }},
		{"rmi -f", func() { b.lrun("rmi", "-f", b.image()) }},
		{"volume create", func() { b.lrun("volume", "create", b.name("v")) }},
		{"system prune", func() { b.lrun("system", "prune", "-f") }},
		{"killed load", func() { b.killed("load", "-q", "-i", b.archive()) }},
		{"killed run", func() { b.killed("run", "--name", b.name("c"), "-v", "/anonymous", "busybox", "sh", "-c", b.script()) }},
		{"killed rm", func() { b.killed("rm", "-v", b.container()) }},
		{"killed rmi", func() { b.killed("rmi", b.image()) }},
		{"something by hand", b.byHand},
		{"damage", b.damage},
	}
}

// lrun runs lrun and returns what it said.
func (b *byteTest) lrun(args ...string) string {
	b.called++
	out, err := b.command("lrun", args...).Output() // whether it could is not the question
	if err != nil {
		b.failed++
	}
	return strings.TrimSpace(string(out))
}

func (b *byteTest) command(name string, args ...string) *exec.Cmd {
	c := exec.Command("timeout", append([]string{"-k", "5", seconds(commandLimit), name}, args...)...)
	c.Env = append(os.Environ(), "LRUN_ROOT="+b.work+"/root", "LRUN_STATE="+b.work+"/state", "LRUN_DRIVER="+cmp.Or(os.Getenv(driverEnv), "overlayfs"))
	return c
}

// killed runs lrun until one of its first calls that change something.
func (b *byteTest) killed(args ...string) {
	out, err := b.command("killat", append([]string{strconv.Itoa(1 + b.dice.IntN(120)), "lrun"}, args...)...).CombinedOutput()
	if err != nil {
		b.Fatalf("killat: %v: %s", err, out)
	}
}

func (b *byteTest) name(prefix string) string {
	b.count++
	return fmt.Sprintf("%s%d", prefix, b.count+10)
}

// pick is one of what lrun lists, or fallback.
func (b *byteTest) pick(fallback string, args ...string) string {
	list := strings.Fields(b.lrun(args...))
	if len(list) == 0 {
		return fallback
	}
	return list[b.dice.IntN(len(list))]
}

func (b *byteTest) image() string     { return b.pick("busybox", "images", "-q") }
func (b *byteTest) container() string { return b.pick("none", "ps", "-aq") }

// script writes a file of any size, a link to it, and a hole.
func (b *byteTest) script() string {
	return fmt.Sprintf("mkdir -p /d; head -c %d /dev/zero >/d/f; ln /d/f /d/g; rm -rf /bin/cat; dd if=/dev/zero of=/d/hole bs=1 count=1 seek=9000000; "+
		"test ! -d /v || head -c %d /dev/zero >/v/%d", b.dice.IntN(200_000), b.dice.IntN(50_000), b.dice.IntN(5))
}

// archive makes an archive of an image of layers of any size on busybox.
func (b *byteTest) archive() string {
	spec := "image " + b.name("i") + "\nlayer gzip\nbusybox\n"
	for range b.dice.IntN(4) {
		spec += fmt.Sprintf("layer\nfile f%d 644 0:0 %s\n", b.dice.IntN(5), strings.Repeat("x", b.dice.IntN(30_000)))
	}
	from, to := filepath.Join(b.work, "spec"), filepath.Join(b.work, "archive.tar")
	if err := errors.Join(os.WriteFile(from, []byte(spec), 0o600), mkimage([]string{"-f", "oci", from, to})); err != nil {
		b.Fatal(err)
	}
	return to
}

func (b *byteTest) loadRandom() { b.lrun("load", "-q", "-i", b.archive()) }

func (b *byteTest) importRandom() { b.lrun("import", b.archive(), b.name("i")) }

// runAndStay leaves a container running, of which there are two at most.
func (b *byteTest) runAndStay() {
	if b.running++; b.running > 2 {
		return
	}
	name := b.name("r")
	c := b.command("lrun", "run", "--name", name, "busybox", "sh", "-c", b.script()+"; echo ready; exec sleep 1000")
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = c.Process.Kill() // it may be gone
		_ = c.Wait()         // it ends by a signal
	})
	_, _ = io.ReadFull(out, make([]byte, len("ready\n"))) // or there is no such image any more
}

// byHand puts something into the root that lrun would not.
func (b *byteTest) byHand() {
	places := []string{
		"notes", "a/b/c", "images/blobs/sha256/" + strings.Repeat("5", 64), "images/blobs/sha256/x", "images/.tmp-1", "ingest/1/x", "ingest/kept/x",
		"ingest/kept/sha256-" + strings.Repeat("7", 64),
		"containers/" + strings.Repeat("6", 64) + "/hosts", "containers/no-id/x", "names/nobody", "userns/1", "volumes/other/x", "volumes/.gone-1/x",
		"snapshots/vfs/data/0123456789abcdef/fs/x", "snapshots/overlayfs/staging/1123456789abcdef/fs/x", "snapshots/else/x", "unpack/session-x",
	}
	path := filepath.Join(b.work, "root", places[b.dice.IntN(len(places))])
	content := []byte(strings.Repeat("x", b.dice.IntN(50_000)))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600), os.Link(path, path+".link")); err != nil && !errors.Is(err, os.ErrExist) {
		b.Fatal(err)
	}
}

// damage cuts a record short until the next step.
func (b *byteTest) damage() {
	var files []string
	for _, pattern := range []string{"containers/*/*.json", "snapshots/*/records/*", "images/index.json", "images/blobs/*/*", "volumes/*/volume.json"} {
		found, err := filepath.Glob(filepath.Join(b.work, "root", pattern))
		if err != nil {
			b.Fatal(err)
		}
		files = append(files, found...)
	}
	file := files[b.dice.IntN(len(files))]
	content, err := os.ReadFile(file)
	if err != nil || len(content) == 0 {
		return
	}
	if err := os.Truncate(file, b.dice.Int64N(int64(len(content)))); err != nil {
		b.Fatal(err)
	}
	b.repairs = append(b.repairs, func() {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			b.Fatal(err)
		}
	})
}

// check compares the rows with du, which may have to wait for what a command that has ended still deletes.
func (b *byteTest) check(what string) {
	b.Helper()
	for end := time.Now().Add(testutil.Patience(leakPatience)); ; time.Sleep(20 * time.Millisecond) {
		rows, total, said := b.rows()
		used := b.du()
		if rows == total && total == used && used > 0 {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("%s: the rows make %d, the total is %d, du says %d: %s", what, rows, total, used, said)
		}
	}
}

// rows adds up the rows of system df -v.
func (b *byteTest) rows() (sum, total int64, said string) {
	out, _ := b.command("lrun", "system", "df", "-v", "--format", "{{range .Bytes}}{{.Bytes}} {{end}}{{.Total}}").CombinedOutput()
	for field := range strings.FieldsSeq(strings.SplitN(string(out), "\n", 2)[0]) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || n < 0 {
			return -1, -1, string(out)
		}
		sum, total = sum+n, n
	}
	return sum - total, total, string(out)
}

func (b *byteTest) du() int64 {
	out, err := exec.Command("du", "-s", "--block-size=1", b.work+"/root").Output()
	if err != nil {
		return 0 // something has vanished
	}
	n, err := strconv.ParseInt(strings.Fields(string(out))[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
