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
	if strings.Contains(s[content], "/copy") { // which is changed
		m.extract(t, "copy")
	}
	before := "cd " + m.dir
	if s[outside] != "" {
		before += "; " + s[outside]
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	script := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", before + `; exec "$@"`, "sh"}, append(args, s.arguments("oracle")...)...)...)
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
	text = unmapped(named(text))
	for _, r := range m.replacements {
		text = r.from.ReplaceAllString(text, r.to)
	}
	return text
}

// unmapped replaces the host's ids of a container with a user namespace by what they are inside: auto gives each its own.
func unmapped(text string) string {
	found := regexp.MustCompile(`(?m)^self uid_map\t *0 +(\d+) +65536\r?$`).FindStringSubmatch(text)
	if found == nil {
		return text
	}
	first, err := strconv.Atoi(found[1])
	if err != nil {
		return text
	}
	return regexp.MustCompile(`\b\d{9,10}\b`).ReplaceAllStringFunc(text, func(digits string) string {
		if n, err := strconv.Atoi(digits); err == nil && n >= first && n < first+65536 {
			return fmt.Sprintf("map+%d", n-first)
		}
		return digits
	})
}

// named replaces the numbers of the program, its init and the parent of both by what they are, where they have any. Without an
// init and with a namespace of its own, the program is 1.
func named(text string) string {
	names := map[string]string{}
	for _, process := range []struct{ name, line string }{
		{"OUTSIDE", `(?m)^status PPid\t(\d+)\r?$`}, {"INIT", `(?m)^process /proc/(\d+)\t(?:/dev/)?lrun-init -- `}, {"PID", `(?m)^status Pid\t(\d+)\r?$`},
	} {
		if found := regexp.MustCompile(process.line).FindStringSubmatch(text); found != nil && found[1] != "0" && found[1] != "1" {
			names[found[1]] = process.name
		}
	}
	number := regexp.MustCompile(`\d+$`)
	about := regexp.MustCompile(`(?m)^(?:status (?:Tgid|Pid|PPid|NS\w+)|stat|processes|process /proc/\d+.*|cwd|terminal \d)\t.*`)
	place := regexp.MustCompile(`(?:^process /proc/|\t|/proc/|ppid |pgrp |session |tpgid |group )\d+\b`)
	return about.ReplaceAllStringFunc(text, func(line string) string {
		line = place.ReplaceAllStringFunc(line, func(found string) string {
			return number.ReplaceAllStringFunc(found, func(n string) string { return cmp.Or(names[n], n) })
		})
		if list, ok := strings.CutPrefix(line, "processes\t["); ok { // which was sorted by numbers
			list, end, _ := strings.Cut(list, "]")
			line = "processes\t[" + strings.Join(slices.Sorted(slices.Values(strings.Fields(list))), " ") + "]" + end
		}
		return line
	})
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

func TestNamed(t *testing.T) {
	for text, want := range map[string]string{
		"status Pid\t1\nstatus PPid\t0\nprocesses\t[/proc/1]":                                                                           "status Pid\t1\nstatus PPid\t0\nprocesses\t[/proc/1]",
		"status Pid\t20\nstat\tppid 1 pgrp 20 session 20 priority 20\ncwd\t/proc/20 ":                                                   "status Pid\tPID\nstat\tppid 1 pgrp PID session PID priority 20\ncwd\t/proc/PID ",
		"status Pid\t20\nstatus PPid\t7\nprocesses\t[/proc/1 /proc/20 /proc/7]\nprocess /proc/7\tlrun-init -- x\nprocess /proc/7 exe\t": "status Pid\tPID\nstatus PPid\tINIT\nprocesses\t[/proc/1 /proc/INIT /proc/PID]\nprocess /proc/INIT\tlrun-init -- x\nprocess /proc/INIT exe\t",
		"status Pid\t200\r\nstatus PPid\t70\nstatus NSsid\t200\nstat\tppid 70":                                                          "status Pid\tPID\r\nstatus PPid\tOUTSIDE\nstatus NSsid\tPID\nstat\tppid OUTSIDE",
	} {
		if got := named(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestUnmapped(t *testing.T) {
	const host = "self uid_map\t         0          0 4294967295\nmount /dev\tuid=1900000000"
	if got := unmapped(host); got != host {
		t.Errorf("got %q", got)
	}
	got := unmapped("self uid_map\t         0 1900000000      65536\r\nmount /dev\tuid=1900000000,gid=1900065535,x=1900065536,y=19000000000")
	if want := "self uid_map\t         0 map+0      65536\r\nmount /dev\tuid=map+0,gid=map+65535,x=1900065536,y=19000000000"; got != want {
		t.Errorf("got %q", got)
	}
}
