package hostconfig

import "github.com/lrun-dev/lrun/runtime/spec"

// Tuning are the fields of HostConfig about the first process.
type Tuning struct {
	OomScoreAdj *int
	GroupAdd    []string
	Ulimits     []Ulimit
}

// Ulimit is a limit of setrlimit(2).
type Ulimit struct {
	Name string
	Hard int64
	Soft int64
}

// TuningOf returns what s asks. What it leaves to lrun's own values is null.
func TuningOf(s spec.Settings) Tuning {
	t := Tuning{OomScoreAdj: s.Tuning.OOMScoreAdj, GroupAdd: s.Tuning.Groups, Ulimits: []Ulimit{}}
	for _, l := range s.Tuning.Rlimits {
		t.Ulimits = append(t.Ulimits, Ulimit{Name: l.Name, Hard: l.Hard, Soft: l.Soft})
	}
	return t
}
