// Command timer runs the commands of one section of scripts/bench in turn and reports how long they took. It reads
// the section as lines of JSON from standard input, and writes a Markdown table to standard output and what was measured
// to a file. All commands run once in every round, in an order that rotates, so that other work on the machine meets all.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"
)

// options say how a section is measured.
type options struct {
	title    string
	rounds   int
	warmups  int
	memory   int           // runs of each command that find its peak memory
	attempts int           // how often to measure while other work disturbs
	noise    float64       // what share of a core others may take, in percent
	settle   time.Duration // from the end of a command to reading what CPU time it took
	groups   string        // cgroups that hold all that the commands start, separated by colons
	scratch  string        // a directory for small files
	results  string        // where to write what was measured
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "timer:", err)
		os.Exit(1)
	}
}

// run measures the section that in holds and writes its table to out.
func run(args []string, in io.Reader, out io.Writer) (err error) {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	sec, err := readSection(in)
	if err != nil {
		return err
	}
	debug.SetGCPercent(-1) // the collector must not run beside a command
	t, err := newTimer(o, sec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	rep, err := measure(o, t.attempt)
	if err != nil {
		return err
	}
	rep.Title, rep.Verdicts = o.title, judge(sec.Targets, rep.Results)
	text, err := json.MarshalIndent(rep, "", "\t")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	if err := os.WriteFile(o.results, append(text, '\n'), 0o644); err != nil {
		return err
	}
	_, err = io.WriteString(out, markdown(rep))
	return err
}

func parseOptions(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("timer", flag.ContinueOnError)
	f.StringVar(&o.title, "title", "", "heading of the table")
	f.IntVar(&o.rounds, "rounds", 20, "measured rounds")
	f.IntVar(&o.warmups, "warmups", 2, "rounds before them")
	f.IntVar(&o.memory, "memory", 3, "runs that find the peak memory")
	f.IntVar(&o.attempts, "attempts", 3, "how often to measure while others disturb")
	f.Float64Var(&o.noise, "noise", 20, "percent of a core that others may take in the median round")
	f.DurationVar(&o.settle, "settle", 30*time.Millisecond, "pause before the CPU time is read")
	f.StringVar(&o.groups, "cgroups", "", "cgroup directories that are charged, separated by colons")
	f.StringVar(&o.scratch, "scratch", os.TempDir(), "directory for small files")
	f.StringVar(&o.results, "results", "", "file for what was measured")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.attempts < 1 || o.results == "" || f.NArg() > 0 {
		return o, errors.New("needs -results FILE, at least one round and one attempt, and no argument")
	}
	return o, nil
}

// measure repeats a section until others disturb it no more, at most o.attempts times, and returns the quietest one.
func measure(o options, attempt func() (report, error)) (report, error) {
	var best report
	var shares []float64
	for n := range o.attempts {
		r, err := attempt()
		if err != nil {
			return report{}, err
		}
		shares = append(shares, r.share())
		if n == 0 || r.share() < best.share() {
			best = r
		}
		if r.share() <= o.noise {
			break
		}
	}
	best.Attempts = shares
	return best, nil
}
