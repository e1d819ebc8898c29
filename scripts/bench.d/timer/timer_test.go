package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	results, log := filepath.Join(dir, "results"), filepath.Join(dir, "log")
	lines := fmt.Sprintf(`
		{"command":{"group":"g","name":"lrun","argv":["/bin/sh","-c","echo lrun {i} >>%[1]s"],"before":"echo before {i} >>%[1]s","after":"echo after {i} >>%[1]s"}}
		{"command":{"group":"g","name":"b","argv":["/bin/sh","-c","echo b {i} {n} >>%[1]s"],"copies":2,"sync":%[2]q}}
		{"target":{"group":"g","metric":"wall","add":60000}}`, log, dir)
	var out strings.Builder
	args := []string{"-title", "T", "-rounds", "2", "-warmups", "1", "-memory", "0", "-attempts", "1", "-settle", "0", "-scratch", dir, "-results", results}
	if err := run(args, strings.NewReader(lines), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "### T\n\n2 rounds after 1 to warm up.") || !strings.Contains(out.String(), "| held |") {
		t.Errorf("wrote %s", out.String())
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(text)), "\n")
	want := "before 1,lrun 1,after 1,b 2 0,b 2 1,b 3 0,b 3 1,before 4,lrun 4,after 4,before 5,lrun 5,after 5,b 6 0,b 6 1"
	if g := strings.Join(sortCopies(got), ","); g != want {
		t.Errorf("ran %s\nwant %s", g, want)
	}
	var rep report
	if text, err = os.ReadFile(results); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Results) != 2 || len(rep.Results[0].Samples) != 2 || rep.Results[1].Samples[0].Sync <= 0 || len(rep.Others) != 2 || !rep.Verdicts[0].Held {
		t.Errorf("results %s", text)
	}
}

// sortCopies puts neighbours that are copies of each other into order.
func sortCopies(lines []string) []string {
	for i := range len(lines) - 1 {
		a, b := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(a) == 3 && len(b) == 3 && a[1] == b[1] && a[2] > b[2] {
			lines[i], lines[i+1] = lines[i+1], lines[i]
		}
	}
	return lines
}

func TestPeak(t *testing.T) {
	if _, err := os.Stat("/usr/bin/time"); err != nil {
		testutil.Missing(t, err)
	}
	dir := t.TempDir()
	lines := `{"command":{"group":"g","name":"lrun","argv":["/bin/true"]}}`
	results := filepath.Join(dir, "results")
	args := []string{"-rounds", "1", "-warmups", "0", "-memory", "2", "-attempts", "1", "-settle", "0", "-scratch", dir, "-results", results}
	if err := run(args, strings.NewReader(lines), new(strings.Builder)); err != nil {
		t.Fatal(err)
	}
	var rep report
	text, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	// Well below what this program takes itself.
	if p := rep.Results[0].Peaks; len(p) != 2 || p[0] < 0.3 || p[0] > 5 {
		t.Errorf("true took %v MiB", p)
	}
}

func TestRunFails(t *testing.T) {
	const good = `{"command":{"group":"g","name":"lrun","argv":["/bin/true"]}}`
	dir := t.TempDir()
	tests := []struct {
		name, lines string
		args        []string
		want        string
	}{
		{"no results", good, nil, "needs -results"},
		{"no round", good, []string{"-results", dir + "/r", "-rounds", "0"}, "at least one round"},
		{"argument", good, []string{"-results", dir + "/r", "x"}, "no argument"},
		{"flag", good, []string{"-nonsense"}, "nonsense"},
		{"section", "", []string{"-results", dir + "/r"}, "no command"},
		{"command", strings.Replace(good, "true", "false", 1), []string{"-results", dir + "/r"}, "g, lrun: /bin/false: exit status 1"},
		{"before", strings.Replace(good, `"name"`, `"before":"exit 5","name"`, 1), []string{"-results", dir + "/r"}, "exit 5: /bin/sh -c exit 5: exit status 5"},
		{"after", strings.Replace(good, `"name"`, `"after":"exit 6","name"`, 1), []string{"-results", dir + "/r"}, "exit status 6"},
		{"namespace", strings.Replace(good, `"name"`, `"namespace":"/nonexistent","name"`, 1), []string{"-results", dir + "/r"}, "/nonexistent"},
		{"scratch", good, []string{"-results", dir + "/r", "-scratch", "/nonexistent"}, "/nonexistent/stderr"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"-scratch", dir}, tt.args...)
			err := run(args, strings.NewReader(tt.lines), new(strings.Builder))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := os.Stat(dir + "/r"); err == nil {
		t.Error("a failed run left results")
	}
}

func TestMeasure(t *testing.T) {
	tests := []struct {
		name     string
		shares   []float64 // of the attempts that could be made
		attempts int
		want     float64
	}{
		{"quiet at once", []float64{20, 1}, 1, 20},
		{"quiet later", []float64{90, 5, 1}, 2, 5},
		{"never quiet", []float64{90, 40, 60, 1}, 3, 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			got, err := measure(options{attempts: 3, noise: 20}, func() (report, error) {
				n++
				return report{Others: []float64{tt.shares[n-1]}}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if n != tt.attempts || got.share() != tt.want || !slices.Equal(got.Attempts, tt.shares[:n]) {
				t.Errorf("got %v of %v after %d attempts, want %v after %d", got.share(), got.Attempts, n, tt.want, tt.attempts)
			}
		})
	}
	bad := errors.New("bad")
	if _, err := measure(options{attempts: 3}, func() (report, error) { return report{}, bad }); !errors.Is(err, bad) {
		t.Errorf("got %v", err)
	}
}
