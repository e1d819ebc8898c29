package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// crashPointsSample is how many moments of each command are tried when nothing is said.
const crashPointsSample = 2

// crashCase is a command that changes the store and is killed. $D is the test's directory.
type crashCase struct {
	name    string
	before  []string // commands that make what it works on, out of what every case begins with
	command string
	again   string   // says that what it was to do is done: the error of the second time
	undo    []string // commands that lead back to the beginning
	random  bool     // the digests that it makes are others each time: done twice, it leaves two
	steps   bool     // it does several things, of which some may be done
}

func crashCases() []crashCase {
	return []crashCase{
		{name: "load onto layers that are there", command: "load -q -i $D/second.tar", undo: []string{"rmi second"}},
		{name: "load of two images", before: []string{"rmi -f busybox"}, command: "load -q -i $D/both.tar", undo: []string{"rmi second"}},
		{name: "import", command: "import $D/tree.tar imported", undo: []string{"rmi imported"}, random: true},
		{name: "commit", before: []string{"run --name changed busybox sh -c $CHANGE"}, command: "commit changed second", undo: []string{"rmi second", "rm changed"}, random: true},
		{name: "rm", before: []string{"run --name changed -v /data busybox sh -c $CHANGE"}, command: "rm -v changed", again: "no such container"},
		{name: "rmi", before: []string{"load -q -i $D/second.tar"}, command: "rmi second", again: "No such image"},
		{
			name: "system prune", before: []string{"load -q -i $D/second.tar", "create --name changed second"},
			command: "system prune -af", steps: true, undo: []string{"load -q -i $D/base.tar"},
		},
		{name: "save", before: []string{"load -q -i $D/second.tar"}, command: "save -o $D/saved.tar second", undo: []string{"rmi second"}},
	}
}

// change is what a container does before it is committed; blanks would be cut at.
const change = "echo${IFS}1>/one;rm${IFS}/bin/false;mkdir${IFS}-p${IFS}/a/b"

// TestCrashPoints kills each command that changes the store at moments of its life. After every kill all that is recorded is
// whole, the next command takes away what was half made, so that the store is as before or as after the command, and the
// command can be done again.
func TestCrashPoints(t *testing.T) {
	testutil.RequireRoot(t)
	for _, c := range crashCases() {
		t.Run(c.name, func(t *testing.T) { newCrashTest(t, c).run() })
	}
}

// crashTest is one command that is killed many times in one root.
type crashTest struct {
	*killTest

	crashCase
	start, after []string // all files before everything, and after the command
}

func newCrashTest(t *testing.T, c crashCase) *crashTest {
	k := newKillTest(t, killCase{name: c.name})
	x := &crashTest{killTest: k, crashCase: c}
	for _, args := range []string{
		"save -o $D/base.tar busybox",
		"run --name changed busybox sh -c $CHANGE", "export -o $D/tree.tar changed", "commit changed second", "rm changed",
		"save -o $D/second.tar second", "save -o $D/both.tar busybox second", "rmi second",
	} {
		x.must(args)
	}
	x.start = x.files()
	x.prepare()
	x.must(c.command)
	x.after = x.files()
	x.goBack()
	return x
}

// must runs lrun, which must succeed, in the words of a crashCase.
func (x *crashTest) must(args string) string {
	x.Helper()
	return x.killTest.must(x.words(args))
}

func (x *crashTest) words(args string) string {
	return strings.NewReplacer("$D", x.work, "$CHANGE", change).Replace(args)
}

func (x *crashTest) prepare() {
	x.Helper()
	for _, args := range x.before {
		x.must(args)
	}
}

// goBack leads from after the command to the beginning.
func (x *crashTest) goBack() {
	x.Helper()
	for _, args := range x.undo {
		x.must(args)
	}
	x.equal("at the beginning again", x.start)
}

// run tries the moments one after the other, until the command ends before its moment comes.
func (x *crashTest) run() {
	x.prepare()
	total, _ := x.killAt(0)
	x.goBack()
	step := x.step(total, crashPointsSample)
	tried := 0
	for n := 1 + step/2; !x.Failed(); n += step {
		x.prepare()
		before := x.files()
		_, killed := x.killAt(n)
		x.check(n, before)
		x.goBack()
		if !killed && n > total/2 { // else a call less was needed this time
			break
		}
		tried++
	}
	x.Logf("%d points of about %d tried", tried, total)
}

func (x *crashTest) killAt(n int) (seen int, killed bool) {
	x.Helper()
	x.killCase.command = x.words(x.crashCase.command)
	return x.kill(n)
}

// check looks at what a kill at the n-th call has left, and does the command to its end.
func (x *crashTest) check(n int, before []string) {
	x.Helper()
	x.must("fsck --deep") // its exit code says whether something is damaged
	x.must("rm -f none")  // what there is of containers; the next is about images
	x.must([]string{"rmi -f none", "image prune -f"}[n%2])
	if out := x.must("fsck --deep"); !strings.Contains(out, " 0 damaged, 0 left over") {
		x.Errorf("point %d: the next command has not put it right:\n%s", n, out)
	}
	now := x.files()
	if same(now, x.after) && x.random {
		return
	}
	if !x.steps && !same(now, before) && !same(now, x.after) {
		x.Fatalf("point %d: the store is neither as before nor as after the command:\n%s\nor\n%s", n, difference(now, before), difference(now, x.after))
	}
	out, err := x.killTest.command("lrun", strings.Fields(x.words(x.crashCase.command))...).CombinedOutput()
	if err != nil && (x.again == "" || !strings.Contains(string(out), x.again)) {
		x.Fatalf("point %d: the command again: %v: %s", n, err, out)
	}
	x.equal(fmt.Sprintf("point %d: after the command was done again", n), x.after)
}

func (x *crashTest) equal(when string, want []string) {
	x.Helper()
	if now := x.files(); !same(now, want) {
		x.Fatalf("%s, the store is not what it must be:\n%s", when, difference(now, want))
	}
}

// files is killTest.files without what is random in this case.
func (x *crashTest) files() []string {
	// What overlayfs keeps in a workdir is its own affair, and manifests have times of directories in them.
	list := slices.DeleteFunc(x.killTest.files(), func(line string) bool {
		return strings.Contains(line, "/work/work/") || strings.Contains(line, "/ID/manifest ")
	})
	if !x.random {
		return list
	}
	digests := regexp.MustCompile(`[0-9a-f]{64}([^ ]*) ([^ ]+)( \d+)?`) // their files have times in them, and so different sizes
	seen := map[string]int{}
	for i, line := range list {
		line, _, _ = strings.Cut(digests.ReplaceAllString(line, "DIGEST$1 $2"), " #")
		seen[line]++
		list[i] = fmt.Sprintf("%s #%d", line, seen[line])
	}
	return list
}

func same(a, b []string) bool { return difference(a, b) == "" }

// difference lists what is in one of two lists.
func difference(now, want []string) string {
	var lines []string
	for _, s := range now {
		if !slices.Contains(want, s) {
			lines = append(lines, "more: "+s)
		}
	}
	for _, s := range want {
		if !slices.Contains(now, s) {
			lines = append(lines, "less: "+s)
		}
	}
	return strings.Join(lines, "\n")
}

// A saved file is there whole or not at all, and a kill leaves no other file beside it.
func TestKilledSaveLeavesNoFile(t *testing.T) {
	testutil.RequireRoot(t)
	x := newCrashTest(t, crashCase{name: "save"})
	x.crashCase.command = "save -o $D/saved.tar busybox"
	x.must("save -o $D/whole.tar busybox")
	want, err := os.ReadFile(filepath.Join(x.work, "whole.tar"))
	if err != nil {
		t.Fatal(err)
	}
	names := func() string {
		list, err := filepath.Glob(filepath.Join(x.work, "*"))
		hidden, hiddenErr := filepath.Glob(filepath.Join(x.work, ".*"))
		if err != nil || hiddenErr != nil {
			t.Fatal(err, hiddenErr)
		}
		return strings.Join(append(list, hidden...), " ")
	}
	before := names()
	total, _ := x.killAt(0)
	step := x.step(total, crashPointsSample)
	for n := 1 + step/2; n < total; n += step {
		if err := os.RemoveAll(filepath.Join(x.work, "saved.tar")); err != nil {
			t.Fatal(err)
		}
		x.killAt(n)
		if got, err := os.ReadFile(filepath.Join(x.work, "saved.tar")); err == nil && string(got) != string(want) {
			t.Errorf("point %d: half of the file is there", n)
		} else if err == nil {
			continue
		}
		if now := names(); now != before {
			t.Errorf("point %d: there are %s, and were %s", n, now, before)
		}
	}
}
