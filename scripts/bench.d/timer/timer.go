package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// timer measures the commands of a section.
type timer struct {
	options
	commands   []command
	groups     []string
	namespaces map[string]*os.File // "" has none
	syncs      map[string]*os.File
	launcher   launcher
	runs       int
}

func newTimer(o options, s section) (*timer, error) {
	t := &timer{
		options: o, commands: s.Commands, groups: strings.FieldsFunc(o.groups, func(r rune) bool { return r == ':' }),
		namespaces: map[string]*os.File{}, syncs: map[string]*os.File{},
	}
	for _, c := range s.Commands {
		if err := errors.Join(open(t.namespaces, c.Namespace), open(t.syncs, c.Sync)); err != nil {
			return nil, errors.Join(err, t.close())
		}
	}
	var err error
	if t.launcher.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		t.launcher.stderr, err = os.Create(filepath.Join(o.scratch, "stderr"))
	}
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// open opens name, unless it is "" or files has it.
func open(files map[string]*os.File, name string) error {
	if name == "" || files[name] != nil {
		return nil
	}
	f, err := os.Open(name)
	if err == nil {
		files[name] = f
	}
	return err
}

func (t *timer) close() error {
	var errs []error
	for _, files := range []map[string]*os.File{t.namespaces, t.syncs} {
		for _, f := range files {
			errs = append(errs, f.Close())
		}
	}
	for _, f := range []*os.File{t.launcher.null, t.launcher.stderr} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// attempt measures the section once: warm-ups, rounds, and then the peak memory.
func (t *timer) attempt() (report, error) {
	rep := report{Rounds: t.rounds, Warmups: t.warmups, Results: make([]result, len(t.commands))}
	for i, c := range t.commands {
		rep.Results[i].command = c
	}
	for n := range t.warmups + t.rounds {
		share, err := t.round(n, rep.Results)
		if err != nil {
			return rep, err
		}
		if n >= t.warmups {
			rep.Others = append(rep.Others, share)
			continue
		}
		for i := range rep.Results {
			rep.Results[i].Samples = nil
		}
	}
	for i, c := range t.commands {
		for range t.memory {
			peak, err := t.peak(c)
			if err != nil {
				return rep, err
			}
			rep.Results[i].Peaks = append(rep.Results[i].Peaks, peak)
		}
	}
	return rep, nil
}

// round runs every command once, beginning with the n-th, and returns what share of a core others took meanwhile.
func (t *timer) round(n int, results []result) (float64, error) {
	runtime.GC()
	before, err := t.usage()
	if err != nil {
		return 0, err
	}
	for i := range results {
		r := &results[(n+i)%len(results)]
		s, err := t.sample(r.command)
		if err != nil {
			return 0, err
		}
		r.Samples = append(r.Samples, s)
	}
	after, err := t.usage()
	return othersShare(before, after), err
}

// sample runs a command once, with what comes before and after it.
func (t *timer) sample(c command) (sample, error) {
	t.runs++
	var s sample
	if err := t.aside(c, c.Before); err != nil {
		return s, err
	}
	before, err := charged(t.groups)
	if err != nil {
		return s, err
	}
	elapsed, err := t.launcher.launch(t.namespaces[c.Namespace], c.argvs(t.runs))
	if err != nil {
		return s, fmt.Errorf("%s, %s: %w", c.Group, c.Name, err)
	}
	s.Wall = milliseconds(elapsed)
	if f := t.syncs[c.Sync]; f != nil {
		begin := time.Now()
		if err := unix.Syncfs(int(f.Fd())); err != nil {
			return s, fmt.Errorf("sync %s: %w", c.Sync, err)
		}
		s.Sync = milliseconds(time.Since(begin))
	}
	time.Sleep(t.settle)
	after, err := charged(t.groups)
	if err != nil {
		return s, err
	}
	s.CPU = milliseconds(after - before)
	return s, t.aside(c, c.After)
}

// aside runs a shell command of c that is not timed, and lets the machine settle.
func (t *timer) aside(c command, line string) error {
	if line == "" {
		return nil
	}
	if _, err := t.launcher.launch(t.namespaces[c.Namespace], shell(line, t.runs)); err != nil {
		return fmt.Errorf("%s, %s: %s: %w", c.Group, c.Name, line, err)
	}
	time.Sleep(t.settle)
	return nil
}

// peak returns the memory in MiB that the largest process of c took, of those that are waited for. GNU time looks,
// because it forks: a child that shares its parent's memory until it executes is charged for the parent's.
func (t *timer) peak(c command) (float64, error) {
	t.runs++
	if err := t.aside(c, c.Before); err != nil {
		return 0, err
	}
	file := filepath.Join(t.scratch, "peak")
	argv := slices.Concat([]string{"/usr/bin/time", "-f", "%M", "-o", file}, c.argvs(t.runs)[0])
	if _, err := t.launcher.launch(t.namespaces[c.Namespace], [][]string{argv}); err != nil {
		return 0, fmt.Errorf("%s, %s: %w", c.Group, c.Name, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil {
		return 0, fmt.Errorf("read peak memory: %w", err)
	}
	return kib / 1024, t.aside(c, c.After)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
