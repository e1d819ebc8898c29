package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBusy(t *testing.T) {
	tests := []struct {
		name, text string
		want       time.Duration
		bad        bool
	}{
		{"all but idle and waiting", "cpu  1 2 4 1000 5000 8 16 32 64 128\ncpu0 9 9 9 9 9 9 9 9 9 9\n", 630 * time.Millisecond, false},
		{"empty", "", 0, true},
		{"short", "cpu 1 2 3\n", 0, true},
		{"another line", "intr 1 2 3 4 5 6 7 8 9\n", 0, true},
		{"no number", "cpu 1 2 3 4 5 6 7 x 9\n", 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := busy(tt.text)
			if got != tt.want || (err != nil) != tt.bad {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func FuzzBusy(f *testing.F) {
	f.Add("cpu  1 2 4 1000 5000 8 16 32 64 128\n")
	f.Add("cpu -1 2 4 1000 5000 8 16 32\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := busy(text); err == nil && !strings.HasPrefix(strings.TrimSpace(text), "cpu") {
			t.Error("took what is no line of a CPU")
		}
	})
}

func TestOthersShare(t *testing.T) {
	start := time.Now()
	at := func(elapsed, all, ours time.Duration) usage {
		return usage{at: start.Add(elapsed), all: all, ours: ours}
	}
	tests := []struct {
		name          string
		before, after usage
		want          float64
	}{
		{"others", at(0, time.Second, 0), at(time.Second, 3*time.Second, 500*time.Millisecond), 150},
		{"all ours", at(0, 0, 0), at(time.Second, time.Second, time.Second), 0},
		{"ticks are coarse", at(0, 0, 0), at(time.Second, 0, time.Millisecond), 0},
		{"no time", at(0, 0, 0), at(0, time.Second, 0), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := othersShare(tt.before, tt.after); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCharged(t *testing.T) {
	dir := t.TempDir()
	group := func(name, file, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	v1 := group("v1", "cpuacct.usage", "3000000\n")
	v2 := group("v2", "cpu.stat", "usage_usec 5000\nuser_usec 1\n")
	tests := []struct {
		name   string
		groups []string
		want   time.Duration
		bad    bool
	}{
		{"none", nil, 0, false},
		{"v1", []string{v1}, 3 * time.Millisecond, false},
		{"v2", []string{v2}, 5 * time.Millisecond, false},
		{"sum", []string{v1, v2, filepath.Join(dir, "missing")}, 8 * time.Millisecond, false},
		{"v1 that is no number", []string{group("bad1", "cpuacct.usage", "x")}, 0, true},
		{"v2 without usage", []string{group("bad2", "cpu.stat", "user_usec 1\n")}, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := charged(tt.groups)
			if got != tt.want || (err != nil) != tt.bad {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}
