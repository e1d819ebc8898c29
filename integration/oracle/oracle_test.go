package oracle

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// Without more being asked for, sample settings are tried, which takes some seconds; the first seed is the one that
// they are made from. scripts/oracle asks for more.
const (
	sample   = 60
	countEnv = "LRUN_TEST_ORACLE_SETTINGS"
	seedEnv  = "LRUN_TEST_ORACLE_SEED"
)

// TestSettings runs the same container with the built-in runtime and with runc.
func TestSettings(t *testing.T) {
	testutil.RequireRoot(t)
	m := newMachine(t)
	count, seed := number(t, countEnv, sample), number(t, seedEnv, 1)
	needed, complete := map[string]string{}, 0
	for i, s := range generate(uint64(seed), count) {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			ours, theirs := m.run(t, s, ""), m.run(t, s, "runc")
			if ours["complete"] != "" {
				complete++
			}
			for _, d := range differences(ours, theirs) {
				if name := explain(s, d); name != "" {
					needed[name] = d
				} else {
					t.Errorf("%s\n%s", s, d)
				}
			}
		})
	}
	if complete < count*3/4 {
		t.Errorf("only %d of %d settings ran the program", complete, count)
	}
	for _, e := range explanations() {
		if needed[e.name] == "" {
			t.Errorf("%q explains nothing that was seen", e.name)
		} else if testing.Verbose() {
			t.Logf("%s: %s", e.name, needed[e.name])
		}
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// differences are the keys of which two reports say different things, one a line: key: ours ≠ theirs.
func differences(ours, theirs map[string]string) []string {
	keys := maps.Clone(ours)
	maps.Copy(keys, theirs)
	var all []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		a, here := ours[key]
		b, there := theirs[key]
		if a != b || here != there {
			if !here {
				a = "nothing"
			}
			if !there {
				b = "nothing"
			}
			all = append(all, fmt.Sprintf("%s: %s ≠ %s", key, a, b))
		}
	}
	return all
}

// run runs a container and returns the report, with how the command ended.
func (m *machine) run(t *testing.T, s setting, runtime string) map[string]string {
	t.Helper()
	cid := filepath.Join(t.TempDir(), "cid")
	args := append([]string{m.lrun, "run", "--rm", "--cidfile", cid}, s.flags(m.dir)...)
	if runtime != "" {
		args = append(args, "--runtime", runtime)
	}
	before := "cd " + m.dir
	if s[outside] != "" {
		before += "; " + s[outside]
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	script := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", before + `; exec "$@"`, "sh"}, append(args, "oracle", s[last])...)...)
	script.Env = m.env
	var out, stderr bytes.Buffer
	script.Stdout, script.Stderr = &out, &stderr
	err := script.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	id, err := os.ReadFile(cid)
	if err != nil && script.ProcessState.ExitCode() < 125 {
		t.Fatal(err)
	}
	report := map[string]string{"exit code": strconv.Itoa(script.ProcessState.ExitCode())}
	for line := range strings.Lines(m.normal(out.String(), string(bytes.TrimSpace(id)))) {
		key, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		if !found {
			key = "said " + key
		}
		if report[key] != "" {
			t.Errorf("%s: twice in the report: %q", s, line)
		}
		report[key] = value
	}
	if program := s[last]; report["complete"] == "" && strings.Contains(program, "probe") && report["exit code"] == "0" || report["complete"] == "" && testing.Verbose() {
		t.Logf("%s with %q: exit code %s: %s", s, runtime, report["exit code"], stderr.String())
	}
	return report
}

// normal replaces what differs from container to container by what it stands for.
func (m *machine) normal(text, id string) string {
	if len(id) == 64 {
		text = strings.NewReplacer(id, "ID", id[:12], "ID").Replace(text)
	}
	for _, link := range m.namespaces {
		kind, _, _ := strings.Cut(link, ":")
		text = strings.ReplaceAll(text, link, kind+" of the host")
	}
	text = strings.ReplaceAll(text, "session keyring\tnumber "+m.keyring+" ", "session keyring\tof the host ")
	// With an init, the program has any number.
	if _, pid, found := strings.Cut(text, "status Pid\t"); found {
		if pid = strings.TrimSpace(pid[:strings.IndexByte(pid, '\n')]); pid != "1" {
			number := regexp.MustCompile(`(?m)(^(?:status (?:Tgid|Pid|NStgid|NSpid|NSpgid)|stat|processes|terminal \d)\t.*?)\b` + pid + `\b`)
			for range 3 {
				text = number.ReplaceAllString(text, "${1}PID")
			}
		}
	}
	for _, r := range m.replacements {
		text = r.from.ReplaceAllString(text, r.to)
	}
	return text
}

type replacement struct {
	from *regexp.Regexp
	to   string
}

func replacements() []replacement {
	var all []replacement
	for from, to := range map[string]string{
		`[0-9a-f]{64}`: "ID", `/data/[0-9a-f]{16}`: "/data/ID", `session keyring\tnumber [1-9]\d* `: "session keyring\tof its own ",
		`(namespace \w+\t\w+):\[\d+\]`: "$1 of its own",
	} {
		all = append(all, replacement{regexp.MustCompile(from), to})
	}
	return all
}

func TestDifferences(t *testing.T) {
	got := differences(map[string]string{"same": "1", "ours": "", "changed": "a"}, map[string]string{"same": "1", "theirs": "x", "changed": "b"})
	if want := []string{"changed: a ≠ b", "ours:  ≠ nothing", "theirs: nothing ≠ x"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
