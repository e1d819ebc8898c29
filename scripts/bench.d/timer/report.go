package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The metrics that a target can bound.
const (
	wall   = "wall"   // milliseconds
	cpu    = "cpu"    // milliseconds
	memory = "memory" // MiB
)

// sample is one run of a command, in milliseconds.
type sample struct {
	Wall float64 `json:"wall"`
	Sync float64 `json:"sync"`
	CPU  float64 `json:"cpu"` // of all processes that the command or a daemon ran for it
}

// result is what was measured of a command.
type result struct {
	command
	Samples []sample  `json:"samples"`
	Peaks   []float64 `json:"peaks"` // MiB
}

// report is a section as it was measured.
type report struct {
	Title    string    `json:"title"`
	Rounds   int       `json:"rounds"`
	Warmups  int       `json:"warmups"`
	Others   []float64 `json:"others"`   // share of a core that others took in each round, in percent
	Attempts []float64 `json:"attempts"` // the same in the median round of each attempt
	Results  []result  `json:"results"`
	Verdicts []verdict `json:"verdicts"`
}

// verdict says whether a target was held.
type verdict struct {
	target
	Limit float64 `json:"limit"` // in the median
	Value float64 `json:"value"` // in the median
	Share float64 `json:"share"` // of the limit, in the median round
	Held  bool    `json:"held"`
}

// share returns what share of a core others took in the median round.
func (r report) share() float64 { return median(r.Others) }

// median returns the median of v, NaN of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// of collects one number of each sample.
func (r result) of(f func(sample) float64) []float64 {
	var v []float64
	for _, s := range r.Samples {
		v = append(v, f(s))
	}
	return v
}

// values returns what was measured of a metric, for times one in each round.
func (r result) values(metric string) []float64 {
	switch metric {
	case cpu:
		return r.of(func(s sample) float64 { return s.CPU })
	case memory:
		return r.Peaks
	default:
		return r.of(func(s sample) float64 { return s.Wall })
	}
}

// median returns the median of a metric.
func (r result) median(metric string) float64 { return median(r.values(metric)) }

// find returns the result of a command; check has seen to it that targets name only such as exist.
func find(results []result, group, name string) (result, bool) {
	i := slices.IndexFunc(results, func(r result) bool { return r.Group == group && r.Name == name })
	if i < 0 {
		return result{}, false
	}
	return results[i], true
}

// judge holds the results against the targets. Where the limit depends on another command, each round has its own: a machine that
// becomes faster or slower while a section runs changes both.
func judge(targets []target, results []result) []verdict {
	var all []verdict
	for _, t := range targets {
		ours, _ := find(results, t.Group, subject)
		v := verdict{target: t, Limit: t.Add, Value: ours.median(t.Metric)}
		v.Share = v.Value / v.Limit
		if ref, ok := find(results, t.RefGroup, t.Ref); ok {
			v.Limit += t.Factor * ref.median(t.Metric)
			v.Share = median(t.shares(ours.values(t.Metric), ref.values(t.Metric)))
		}
		v.Held = v.Share <= 1
		all = append(all, v)
	}
	return all
}

// shares returns what share of its limit was taken in each round.
func (t target) shares(ours, ref []float64) []float64 {
	var v []float64
	for i := range min(len(ours), len(ref)) {
		v = append(v, ours[i]/(t.Add+t.Factor*ref[i]))
	}
	return v
}

// markdown writes a report as a heading, a table of the commands, and a table of the targets.
func markdown(r report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s. ", r.Title, rounds(r))
	fmt.Fprintf(&b, "Other work took %.0f %% of a core in the median round, %.0f %% at most", r.share(), slices.Max(r.Others))
	if len(r.Attempts) > 1 {
		fmt.Fprintf(&b, "; this is the quietest of %d attempts (medians%s %%)", len(r.Attempts), list(r.Attempts))
	}
	b.WriteString(".\n\n")
	commandTable(&b, r.Results)
	if len(r.Verdicts) > 0 {
		targetTable(&b, r)
	}
	return b.String()
}

// rounds says how often each command was run.
func rounds(r report) string {
	if r.Rounds == 1 && r.Warmups == 0 {
		return "Each once"
	}
	return fmt.Sprintf("%d rounds after %d to warm up", r.Rounds, r.Warmups)
}

func list(v []float64) string {
	var b strings.Builder
	for i, x := range v {
		b.WriteString([]string{"", ","}[min(i, 1)])
		fmt.Fprintf(&b, " %.0f", x)
	}
	return b.String()
}

func commandTable(b *strings.Builder, results []result) {
	grouped := slices.ContainsFunc(results, func(r result) bool { return r.Group != results[0].Group })
	synced := slices.ContainsFunc(results, func(r result) bool { return r.Sync != "" })
	head, rule := "|", "|"
	column := func(name, align string) { head, rule = head+" "+name+" |", rule+align+"|" }
	if grouped {
		column("work", "---")
	}
	column("command", "---")
	for _, name := range []string{"median ms", "minimum ms", "× lrun", "CPU ms", "peak MiB"} {
		column(name, "--:")
	}
	if synced {
		column("sync after, ms", "--:")
	}
	b.WriteString(head + "\n" + rule + "\n")
	for _, r := range results {
		row := []string{r.Name}
		if grouped {
			row = []string{r.Group, r.Name}
		}
		walls := r.of(func(s sample) float64 { return s.Wall })
		ours, _ := find(results, r.Group, subject)
		row = append(row, number(median(walls)), number(slices.Min(walls)), ratio(median(walls)/ours.median(wall)),
			number(r.median(cpu)), number(r.median(memory)))
		if synced {
			row = append(row, number(median(r.of(func(s sample) float64 { return s.Sync }))))
		}
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	b.WriteString("\n")
}

func targetTable(b *strings.Builder, r report) {
	b.WriteString("| target of lrun | limit | measured | of the limit | |\n|---|--:|--:|--:|---|\n")
	for _, v := range r.Verdicts {
		unit := map[string]string{wall: "ms", cpu: "ms", memory: "MiB"}[v.Metric]
		word := "**missed**"
		if v.Held {
			word = "held"
		}
		fmt.Fprintf(b, "| %s | %s %s | %s %s | %.3f | %s |\n", v.describe(), number(v.Limit), unit, number(v.Value), unit, v.Share, word)
	}
	b.WriteString("\n")
}

// describe says a target in words.
func (t target) describe() string {
	what := map[string]string{wall: "", cpu: "CPU of ", memory: "peak memory of "}[t.Metric] + t.Group
	unit := map[string]string{wall: "ms", cpu: "ms", memory: "MiB"}[t.Metric]
	if t.Ref == "" {
		return fmt.Sprintf("%s ≤ %g %s", what, t.Add, unit)
	}
	ref := t.Ref
	if t.RefGroup != t.Group {
		ref += ", " + t.RefGroup
	}
	if t.Factor != 1 {
		ref = fmt.Sprintf("%g × %s", t.Factor, ref)
	}
	if t.Add != 0 {
		ref += fmt.Sprintf(" + %g %s", t.Add, unit)
	}
	return what + " ≤ " + ref
}

// number writes a number with as many digits as are worth reading.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

func ratio(v float64) string {
	if v < 9.995 {
		return fmt.Sprintf("%.2f", v)
	}
	return number(v)
}
