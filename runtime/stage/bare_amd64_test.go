package stage_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
)

const (
	module = "github.com/lrun-dev/lrun"
	house  = module + "/runtime/stage"
)

// harmless is what the compiler calls of the Go runtime that works without it, or that is reached only by an error in the
// program: memory is moved, a bound is checked, the stack has no end, and no write barrier is on.
var harmless = regexp.MustCompile(`^runtime\.(mem(move|equal|clrNoHeapPointers)|panic(Bounds|unsafe\w+)|morestack\w*(\.abi0)?|gcWriteBarrier\d|deferreturn|duff(copy|zero))$`)

// indirect is what a call goes to that goes by a register.
const indirect = "a function without a name"

// built is lrun with the symbols that scripts/build leaves out.
func built(t *testing.T, flags string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lrun")
	c := exec.Command("go", "build", "-ldflags", flags, "-o", file, module+"/cmd/lrun")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// What runs before there is a Go runtime must not need one: every function that can be reached from the entry is of this package,
// a bare system call, or harmless, and no variable has to be initialised.
func TestEntryNeedsNoRuntime(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil && os.Getenv(testutil.SlowEnv) != "" {
		t.Skip("the virtual machine has no Go to read a program with, and the program is the same outside")
	}
	calls := callGraph(t, built(t, "-E "+house+".entry"))
	for _, name := range []string{house + ".init", house + "/sys.init"} {
		if _, ok := calls[name]; ok {
			t.Errorf("%s initialises variables", name)
		}
	}
	reached := map[string]bool{}
	next := []string{house + ".bare"}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if reached[name] {
			continue
		}
		reached[name] = true
		if len(calls[name]) == 0 && !strings.Contains(name, "Syscall6") {
			continue // it calls nothing
		}
		for _, to := range calls[name] {
			switch {
			case to == indirect && len(calls[name+".deferwrap1"]) > 0:
				next = append(next, name+".deferwrap1", name+".deferwrap2") // the only functions without a name
			case strings.HasPrefix(to, house), strings.HasPrefix(to, "syscall.RawSyscall"), strings.HasPrefix(to, "internal/runtime/syscall"):
				next = append(next, to)
			case !harmless.MatchString(to):
				t.Errorf("%s calls %s", name, to)
			}
		}
	}
	for _, name := range []string{".run", ".decode", ".(*child).exec", "/sys.mapped", ".(*tracer).step"} {
		if !reached[house+name] {
			t.Errorf("%s was not reached: the test reads the program wrongly", name)
		}
	}
}

// callGraph tells for each function what it calls and jumps to outside itself.
func callGraph(t *testing.T, file string) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "tool", "objdump", "-s", `lrun/runtime/stage|^syscall\.RawSyscall|^internal/runtime/syscall`, file).Output()
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile(`\s(CALL|JMP)\s+(\S+)\(SB\)`)
	register := regexp.MustCompile(`\sCALL\s+([A-Z]\w+)$`)
	calls := map[string][]string{}
	name := ""
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), " \t")
		if head, ok := strings.CutPrefix(line, "TEXT "); ok {
			name, _, _ = strings.Cut(head, "(SB)")
			calls[name] = nil
		} else if m := target.FindStringSubmatch(line); m != nil && m[2] != name {
			calls[name] = append(calls[name], m[2])
		} else if m := register.FindStringSubmatch(line); m != nil {
			calls[name] = append(calls[name], indirect)
		}
	}
	return calls
}

// Whoever executes lrun by the stage's name, but not as its parent does, gets lrun.
func TestNameAloneHasNoEffect(t *testing.T) {
	file := os.Getenv("LRUN_BINARY")
	if file == "" {
		file = built(t, "-s -w -E "+house+".entry")
	}
	for _, c := range []struct{ name, variable string }{
		{"lrun", "_LRUN_STAGE=3"}, {"lrun-stage", "A=b"}, {"lrun-stage", "_LRUN_STAGE=3,leave"}, {"lrun-stage", "_LRUN_STAGE=0"}, {"lrun-stag", "A=b"}, {"", "A=b"},
	} {
		for _, args := range [][]string{{c.name}, {c.name, "version"}} {
			cmd := exec.Cmd{Path: file, Args: args, Env: []string{c.variable, "HOME=/"}}
			out, err := cmd.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("lrun")) {
				t.Errorf("%q with %s: %v: %s", args, c.variable, err, out)
			}
		}
	}
}
