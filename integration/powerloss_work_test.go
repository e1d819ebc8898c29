package integration

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// work is what lrun does in a machine, and what it has said that it has done.
type work struct {
	m       *powered
	options []string // of every command
	done    atomic.Int64

	mu    sync.Mutex
	known map[string]fact
	told  func(known map[string]fact) // is called at each change of it, one after the other, unless nil
}

// fact is what a command has reported of a container, an image or a volume. A command that is at work makes it unknown.
type fact struct {
	there, unknown bool
	version        int
}

func newWork(m *powered, options []string) *work {
	return &work{m: m, options: options, known: map[string]fact{}}
}

func (w *work) state() string { return w.m.dir + "/state" }

// deed is a command of one of those that work at the same time. It is done when something that it makes is not there, what it
// ends and needs is, and what would be in its way is not.
type deed struct {
	command      string
	makes, ends  []string
	needs, minds []string
}

// The two never touch what is the other's.
func workers() [][]deed {
	second, imported, changed, tagged := []string{"image second:latest"}, []string{"image imported:latest"}, []string{"image changed:latest"}, []string{"image tagged:latest"}
	third, one, two := []string{"image third:latest", "image fourth:latest"}, []string{"container one"}, []string{"container two"}
	volume, data := []string{"volume vol"}, []string{"volume data"}
	return [][]deed{
		{
			{command: "load -q -i $D/second.tar", makes: second},
			{command: "rmi second", ends: second},
			{command: "import $D/tree.tar imported", makes: imported},
			{command: "rmi imported", ends: imported},
			{command: "load -q -i $D/third.tar", makes: third},
			{command: "rmi third fourth", ends: third},
			{command: "volume create --label a=b vol", makes: volume},
			{command: "volume rm vol", ends: volume},
		},
		{
			{command: "run --name one busybox sh -c $CHANGE", makes: one},
			{command: "rm one", ends: one},
			{command: "create --name two -v data:/bin busybox true", makes: append(data, two...), minds: two},
			{command: "rm two", ends: two},
			{command: "volume rm data", ends: data, minds: two},
			{command: "commit one changed", makes: changed, needs: one},
			{command: "rmi changed", ends: changed},
			{command: "tag busybox tagged", makes: tagged},
			{command: "rmi tagged", ends: tagged},
			{command: "run --rm --name gone busybox true", makes: []string{"nothing"}},
		},
	}
}

// makeArchives makes what is loaded and imported, in a store that is not needed any more.
func (w *work) makeArchives() {
	w.m.Helper()
	w.m.makeDisk(w.m.disk(), w.m.filesystem, 1<<30)
	w.m.plug()
	for _, args := range []string{
		"--no-sync load -q -i " + busyboxArchive(),
		"--no-sync run --name first busybox sh -c $CHANGE", "commit first second", "export -o $D/in/tree.tar first", "rm first",
		"run --name other second sh -c $CHANGE2", "commit other third", "tag third fourth",
		"save -o $D/in/second.tar second", "save -o $D/in/third.tar third fourth",
	} {
		w.must(args)
	}
	w.m.unplug()
}

// begin fills an empty store.
func (w *work) begin() {
	w.m.Helper()
	w.must("load -q -i " + busyboxArchive())
	w.known = map[string]fact{"image busybox:latest": {there: true}}
}

func (w *work) words(args string) []string {
	words := strings.NewReplacer("$D/in", w.m.dir+"/in", "$D", w.m.dir+"/in", "$CHANGE2", change+";seq${IFS}9999>/nine", "$CHANGE", change)
	return append(append([]string{}, w.options...), strings.Fields(words.Replace(args))...)
}

// command is lrun in a machine that has been started since the last power loss.
func (w *work) command(args []string) *exec.Cmd {
	script := `mount --bind "$0/boot_id" /proc/sys/kernel/random/boot_id && exec lrun "$@"`
	c := exec.Command("timeout", append([]string{"-k", "5", seconds(commandLimit), "unshare", "-m", "sh", "-c", script, w.m.dir}, args...)...)
	c.Env = append(os.Environ(), "LRUN_ROOT="+w.m.dir+"/disk/root", "LRUN_STATE="+w.state(), "LRUN_DRIVER="+cmp.Or(os.Getenv(driverEnv), "overlayfs"))
	return c
}

func (w *work) lrun(args ...string) (string, error) {
	out, err := w.command(args).CombinedOutput()
	return string(out), err
}

func (w *work) must(args string) string {
	w.m.Helper()
	out, err := w.lrun(w.words(args)...)
	if err != nil {
		w.m.Fatalf("lrun %s: %v: %s", args, err, out)
	}
	return out
}

// start lets all work, until what it returns is called: then nobody works any more.
func (w *work) start(r *rand.Rand) (stop func()) {
	var ended atomic.Bool
	var all sync.WaitGroup
	for _, steps := range workers() {
		order := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		all.Go(func() {
			for !ended.Load() {
				w.do(steps[order.IntN(len(steps))])
			}
		})
	}
	return func() {
		ended.Store(true)
		all.Wait()
	}
}

// do does one deed, if there is something to do.
func (w *work) do(s deed) {
	if !w.note(s, true) {
		return
	}
	if out, err := w.lrun(w.words(s.command)...); err != nil {
		w.m.Errorf("lrun %s: %v: %s", s.command, err, out)
		return
	}
	w.done.Add(1)
	w.note(s, false)
}

// note writes down that a deed begins or has ended. A deed that cannot be done does not begin.
func (w *work) note(s deed, begins bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	there := func(name string) bool { return w.known[name].there }
	missing := func(name string) bool { return !there(name) }
	if begins && (slices.ContainsFunc(s.minds, there) || slices.ContainsFunc(slices.Concat(s.ends, s.needs), missing) ||
		len(s.makes) > 0 && !slices.ContainsFunc(s.makes, missing)) {
		return false
	}
	for there, names := range map[bool][]string{true: s.makes, false: s.ends} {
		for _, name := range names {
			if name != "nothing" {
				w.known[name] = fact{there: there, unknown: begins, version: w.known[name].version + 1}
			}
		}
	}
	if w.told != nil {
		w.told(w.known)
	}
	return true
}

// facts is what is known now.
func (w *work) facts() map[string]fact {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.known)
}

// unchanged is what was known before and has not been touched since.
func (w *work) unchanged(before map[string]fact) map[string]fact {
	now := w.facts()
	maps.DeleteFunc(before, func(name string, f fact) bool { return f.unknown || f != now[name] })
	return before
}

// look finds out what is there after a power loss, and returns what is damaged, missing, there again, or not to be put right.
func (w *work) look(promised map[string]fact) string {
	w.m.Helper()
	var lost []string
	complain := func(what string, err error, out string) {
		if err != nil {
			lost = append(lost, fmt.Sprintf("%s: %v: %s", what, err, out))
		}
	}
	out, err := w.lrun("fsck", "--deep")
	complain("fsck", err, out)
	for _, command := range []string{"rm", "rmi", "volume rm"} {
		out, err = w.lrun(append(strings.Fields(command), "-f", "none")...)
		complain("the next command about containers, images or volumes, "+command, err, out)
	}
	out, err = w.lrun("fsck", "--deep")
	if err == nil && !strings.Contains(out, " 0 damaged, 0 left over, 0 not checked") {
		err = fmt.Errorf("not clean")
	}
	complain("fsck after these", err, out)

	there := map[string]fact{}
	for kind, args := range map[string]string{"image": "images --format {{.Repository}}:{{.Tag}}", "container": "ps -a --format {{.Names}}", "volume": "volume ls -q"} {
		out, err := w.lrun(strings.Fields(args)...)
		complain(args, err, out)
		for name := range strings.FieldsSeq(out) {
			there[kind+" "+name] = fact{there: true}
		}
	}
	for name, f := range promised {
		if f.there != there[name].there {
			lost = append(lost, fmt.Sprintf("%s: there %v, and was %v", name, there[name].there, f.there))
		}
	}
	for name := range there {
		kind, name, _ := strings.Cut(name, " ")
		switch kind {
		case "image":
			out, err := w.lrun("run", "--rm", name, "true")
			complain("run "+name, err, out)
		case "container":
			out, err := w.lrun("start", "-a", name)
			complain("start "+name, err, out)
			for _, file := range []string{"hosts", "hostname", "resolv.conf"} {
				found, _ := filepath.Glob(w.m.dir + "/disk/root/containers/*/" + file) // the pattern is good
				for _, path := range found {
					if fi, err := os.Stat(path); err == nil && fi.Size() == 0 {
						lost = append(lost, path+" is empty")
					}
				}
			}
		}
	}
	w.known = there
	return strings.Join(lost, "\n")
}
