package integration

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// Limits of a single command, of a condition and of all scripts together, before testutil.Patience.
const (
	commandLimit   = 90 * time.Second
	conditionLimit = 30 * time.Second
	suiteLimit     = 8 * time.Minute
)

// TestScripts runs every script of testdata with a root and a state directory of its own. Besides
// testscript's own commands there are those of commands; $IMAGES is a directory of archives. The
// condition driver:NAME holds for the driver under test, exists:PATH for what the host has.
func TestScripts(t *testing.T) {
	testutil.RequireRoot(t)
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	runScripts(t, scripts, "")
}

// TestAlone runs the scripts of testdata/alone, one after the other and none beside others: they change what all containers
// of the machine have in common.
func TestAlone(t *testing.T) {
	testutil.RequireRoot(t)
	scripts, err := filepath.Glob("testdata/alone/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) { runScripts(t, []string{script}, "") })
	}
}

// TestRunc runs the scripts about run once more, with runc in place of the built-in runtime.
func TestRunc(t *testing.T) {
	testutil.RequireRoot(t)
	scripts, err := filepath.Glob("testdata/run-*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	runScripts(t, scripts, "runc")
}

// runScripts runs scripts in which run and create use an external runtime, or the built-in one for "".
// The condition runtime:NAME holds for the external one, apparmor where the kernel has AppArmor.
func runScripts(t *testing.T, scripts []string, external string) {
	driver := cmp.Or(os.Getenv(driverEnv), "overlayfs")
	work := os.Getenv(workEnv)
	testscript.Run(t, testscript.Params{
		Files:              scripts,
		WorkdirRoot:        makeDirectory(t, filepath.Join(work, "w", cmp.Or(external, "builtin"))),
		Deadline:           time.Now().Add(testutil.Patience(suiteLimit)),
		RequireUniqueNames: true,
		Cmds:               commands(),
		Setup: func(env *testscript.Env) error {
			env.Setenv("LRUN_ROOT", filepath.Join(env.WorkDir, "root"))
			env.Setenv("LRUN_STATE", filepath.Join(env.WorkDir, "state"))
			env.Setenv("LRUN_DRIVER", driver)
			env.Setenv("GOARCH", runtime.GOARCH)
			env.Setenv("IMAGES", filepath.Join(work, "images"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("LC_ALL", "C.UTF-8")
			env.Setenv(testutil.SlowEnv, os.Getenv(testutil.SlowEnv))
			if external != "" {
				env.Setenv("PATH", filepath.Join(work, external)+":"+env.Getenv("PATH"))
			}
			env.Values[cgroupsBefore{}] = emptyCgroups(env.WorkDir)
			env.Values[kept{}] = map[string]string{}
			env.Values[testing.TB(nil)] = env.T().(testing.TB)
			env.Defer(func() {
				if err := takeAway(env.WorkDir); err != nil {
					env.T().Log(err)
				}
			})
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if name, ok := strings.CutPrefix(cond, "driver:"); ok {
				return name == driver, nil
			}
			if name, ok := strings.CutPrefix(cond, "runtime:"); ok {
				return name == external, nil
			}
			if cond == "apparmor" {
				enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
				return string(enabled) == "Y\n" && err == nil, nil // there is no such file without it
			}
			if path, ok := strings.CutPrefix(cond, "exists:"); ok {
				_, err := os.Stat(path)
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

func makeDirectory(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// takeAway ends what a script left running and removes its directory.
func takeAway(work string) error {
	for _, pid := range processesOf(work) {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // it may be gone
		}
	}
	// One more command puts right what a killed lrun left.
	sweep := exec.Command("timeout", "-k", "5", "20", "lrun", "rm", "-f", "none")
	sweep.Env = append(os.Environ(), "LRUN_ROOT="+filepath.Join(work, "root"), "LRUN_STATE="+filepath.Join(work, "state"))
	out, err := sweep.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("sweep: %w: %s", err, out)
	}
	err = errors.Join(err, detachBelow(work))
	if os.Getenv("LRUN_TEST_KEEP") == "" {
		err = errors.Join(err, os.RemoveAll(work))
	}
	return err
}

// commands are those that scripts have besides testscript's own.
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"lrun":      lrunCommand,
		"sh":        shCommand,
		"code":      codeCommand,
		"mkimage":   mkimageCommand,
		"keep":      keepCommand,
		"same":      sameCommand,
		"leakcheck": leakCommand,
		"waitfor":   waitCommand,
		"lines":     linesCommand,
	}
}

// lrunCommand is lrun ARGUMENT…: it runs lrun, which must succeed, or with ! must fail.
func lrunCommand(ts *testscript.TestScript, neg bool, args []string) {
	demand(ts, neg, append([]string{"lrun"}, args...))
}

// shCommand is sh 'SCRIPT': it runs a bash script, which must succeed, or with ! must fail.
func shCommand(ts *testscript.TestScript, neg bool, args []string) {
	demand(ts, neg, append([]string{"sh"}, args...))
}

// codeCommand is code N COMMAND ARGUMENT…: it runs a command that must end with the exit code N.
func codeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND ARGUMENT…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := run(ts, args[1:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func demand(ts *testscript.TestScript, neg bool, args []string) {
	code := run(ts, args)
	if neg == (code == 0) {
		ts.Fatalf("exit code %d", code)
	}
}

// run returns the exit code of a command; one that takes too long fails the script.
func run(ts *testscript.TestScript, args []string) int {
	if args[0] == "sh" {
		args = append([]string{"bash", "-euo", "pipefail", "-c"}, args[1:]...)
	}
	limit := seconds(commandLimit)
	limited := append([]string{"--foreground", "-k", "10", limit}, args...)
	err := ts.Exec("timeout", limited...)
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		ts.Fatalf("%v", err)
	case exit.ExitCode() == 124:
		ts.Fatalf("it ran for more than %s seconds", limit)
	}
	return exit.ExitCode()
}

// seconds is a limit as this machine needs it.
func seconds(limit time.Duration) string {
	return strconv.Itoa(int(testutil.Patience(limit).Seconds()))
}

// waitCommand is waitfor 'CONDITION': it waits until a bash condition holds.
func waitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor 'CONDITION'")
	}
	if code := run(ts, []string{"sh", "until " + args[0] + "; do ((SECONDS < " + seconds(conditionLimit) + ")) || exit 1; sleep 0.05; done 2>/dev/null"}); code != 0 {
		ts.Fatalf("it never came true")
	}
}

// linesCommand is lines FILE PATTERN…: it compares all lines of a file, or stdout or stderr, in their
// order with patterns of path.Match, where * matches slashes too.
func linesCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: lines FILE PATTERN…")
	}
	text := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	got := strings.Split(text, "\n")
	if text == "" {
		got = nil
	}
	slash := strings.NewReplacer("/", "\x01", "[", `\[`)
	for i, pattern := range args[1:] {
		if i >= len(got) {
			ts.Fatalf("%d lines, want %d", len(got), len(args)-1)
		}
		ok, err := filepath.Match(slash.Replace(pattern), strings.ReplaceAll(got[i], "/", "\x01"))
		ts.Check(err)
		if !ok {
			ts.Fatalf("line %d is %q, want %q", i+1, got[i], pattern)
		}
	}
	if len(got) != len(args)-1 {
		ts.Fatalf("%d lines, want %d", len(got), len(args)-1)
	}
}
