package main

import (
	"math"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		name string
		v    []float64
		want float64
	}{
		{"one", []float64{3}, 3},
		{"odd", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 2, 9}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := median(tt.v); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("of none: %v", got)
	}
}

// sampled makes a result with the same time in all its runs.
func sampled(group, name string, wallTime, cpuTime, peak float64) result {
	return result{
		command: command{Group: group, Name: name},
		Samples: []sample{{Wall: wallTime, CPU: cpuTime}, {Wall: wallTime, CPU: cpuTime}}, Peaks: []float64{peak},
	}
}

func TestJudge(t *testing.T) {
	results := []result{
		sampled("run", "lrun", 7.5, 12.5, 16), sampled("run", "floor", 3, 4, 1),
		sampled("big", "lrun", 9.6, 13, 17),
	}
	tests := []struct {
		name         string
		target       target
		limit, value float64
		held         bool
		text         string
	}{
		{"exactly", target{Group: "run", Metric: wall, Factor: 2.5, RefGroup: "run", Ref: "floor"}, 7.5, 7.5, true, "run ≤ 2.5 × floor"},
		{"missed", target{Group: "big", Metric: wall, Factor: 1, RefGroup: "run", Ref: "lrun", Add: 2}, 9.5, 9.6, false, "big ≤ lrun, run + 2 ms"},
		{"memory", target{Group: "run", Metric: memory, Add: 16}, 16, 16, true, "peak memory of run ≤ 16 MiB"},
		{"CPU", target{Group: "run", Metric: cpu, Add: 12, RefGroup: "run"}, 12, 12.5, false, "CPU of run ≤ 12 ms"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judge([]target{tt.target}, results)[0]
			if v.Limit != tt.limit || v.Value != tt.value || v.Held != tt.held {
				t.Errorf("got %+v, want limit %v, value %v, held %v", v, tt.limit, tt.value, tt.held)
			}
			if got := tt.target.describe(); got != tt.text {
				t.Errorf("got %q, want %q", got, tt.text)
			}
		})
	}
}

// A limit that depends on another command is that of the same round.
func TestJudgeByRound(t *testing.T) {
	runs := func(name string, times ...float64) result {
		r := result{command: command{Group: "run", Name: name}}
		for _, w := range times {
			r.Samples = append(r.Samples, sample{Wall: w})
		}
		return r
	}
	targets := []target{{Group: "run", Metric: wall, Factor: 1, RefGroup: "run", Ref: "floor", Add: 1}}
	tests := []struct {
		name        string
		ours, floor []float64
		share       float64
		held        bool
	}{
		{"slower and slower", []float64{8.1, 10.1, 18}, []float64{8, 9, 19}, 0.9, true},
		{"faster once", []float64{3, 10.4, 10.4}, []float64{7, 9, 9}, 1.04, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(targets, []result{runs("lrun", tt.ours...), runs("floor", tt.floor...)})[0]
			if math.Abs(v.Share-tt.share) > 1e-9 || v.Held != tt.held {
				t.Errorf("got %+v, want share %v, held %v", v, tt.share, tt.held)
			}
		})
	}
}

func TestMarkdown(t *testing.T) {
	r := report{
		Title: "Title", Rounds: 2, Warmups: 1, Others: []float64{3, 9, 4}, Attempts: []float64{30, 4},
		Results: []result{sampled("run", "lrun", 8, 10, 12), sampled("run", "peer", 104, 200, 30.04)},
		Verdicts: []verdict{
			{target: target{Group: "run", Metric: wall, Add: 9}, Limit: 9, Value: 8, Share: 0.889, Held: true},
			{target: target{Group: "run", Metric: memory, Add: 11}, Limit: 11, Value: 12, Share: 1.0909},
		},
	}
	const want = `### Title

2 rounds after 1 to warm up. Other work took 4 % of a core in the median round, 9 % at most; this is the quietest of 2 attempts (medians 30, 4 %).

| command | median ms | minimum ms | × lrun | CPU ms | peak MiB |
|---|--:|--:|--:|--:|--:|
| lrun | 8.0 | 8.0 | 1.00 | 10.0 | 12.0 |
| peer | 104 | 104 | 13.0 | 200 | 30.0 |

| target of lrun | limit | measured | of the limit | |
|---|--:|--:|--:|---|
| run ≤ 9 ms | 9.0 ms | 8.0 ms | 0.889 | held |
| peak memory of run ≤ 11 MiB | 11.0 MiB | 12.0 MiB | 1.091 | **missed** |

`
	if got := markdown(r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMarkdownOfSeveralWorks(t *testing.T) {
	tar := sampled("load", "tar", 10, 1, 1)
	tar.Sync, tar.Samples[0].Sync, tar.Samples[1].Sync = "/fs", 2, 4
	r := report{Title: "T", Rounds: 2, Others: []float64{0}, Results: []result{tar, sampled("rm", "lrun", 5, 1, math.NaN())}}
	got := markdown(r)
	for _, want := range []string{
		"| work | command | median ms | minimum ms | × lrun | CPU ms | peak MiB | sync after, ms |\n",
		"| load | tar | 10.0 | 10.0 | – | 1.0 | 1.0 | 3.0 |\n",
		"| rm | lrun | 5.0 | 5.0 | 1.00 | 1.0 | – | 0.0 |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwithout %q", got, want)
		}
	}
	if strings.Contains(got, "target") {
		t.Error("targets of nothing")
	}
}

func TestRounds(t *testing.T) {
	for want, r := range map[string]report{"Each once": {Rounds: 1}, "1 rounds after 2 to warm up": {Rounds: 1, Warmups: 2}, "5 rounds after 0 to warm up": {Rounds: 5}} {
		if got := rounds(r); got != want {
			t.Errorf("%+v: %s", r, got)
		}
	}
}
