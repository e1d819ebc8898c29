package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what CPU time had been taken at a moment.
type usage struct {
	at   time.Time
	all  time.Duration // by everything on the machine, and by others on its host
	ours time.Duration
}

func (t *timer) usage() (usage, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}, err
	}
	all, err := busy(string(text))
	if err != nil {
		return usage{}, err
	}
	ours, err := charged(t.groups)
	return usage{at: time.Now(), all: all, ours: ours}, err
}

// busy returns the time that all CPUs together were not idle, from the text of /proc/stat.
func busy(stat string) (time.Duration, error) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that lrun knows
	line, _, _ := strings.Cut(stat, "\n")
	words := strings.Fields(line)
	if len(words) < 9 || words[0] != "cpu" {
		return 0, fmt.Errorf("read /proc/stat: line %q", line)
	}
	var sum time.Duration
	for i, w := range words[1:9] {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read /proc/stat: %w", err)
		}
		const idle, iowait = 3, 4
		if i != idle && i != iowait {
			sum += time.Duration(n) * tick
		}
	}
	return sum, nil
}

// othersShare returns what share of one core, in percent, others than us took between two moments.
func othersShare(before, after usage) float64 {
	elapsed := after.at.Sub(before.at)
	if elapsed <= 0 {
		return 0
	}
	others := (after.all - before.all) - (after.ours - before.ours)
	return max(0, 100*float64(others)/float64(elapsed))
}

// charged returns the CPU time of cgroups, v1 or v2, with what is below them. One that is not there has taken none.
func charged(groups []string) (time.Duration, error) {
	var sum time.Duration
	for _, g := range groups {
		d, err := chargedOne(g)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

func chargedOne(group string) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(group, "cpuacct.usage"))
	if err == nil {
		ns, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return time.Duration(ns), err
	}
	text, err = os.ReadFile(filepath.Join(group, "cpu.stat"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if us, ok := strings.CutPrefix(line, "usage_usec "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(us), 10, 64)
			return time.Duration(n) * time.Microsecond, err
		}
	}
	return 0, fmt.Errorf("read %s/cpu.stat: no usage_usec", group)
}
