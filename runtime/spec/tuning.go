package spec

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Tuning is what a container's first process has of its own, beside who it is.
type Tuning struct {
	Rlimits []Rlimit `json:"ulimits,omitempty"`
	// OOMScoreAdj is how gladly the kernel kills it when memory is short, -1000 to 1000; nil: as gladly as lrun.
	OOMScoreAdj *int `json:"oomScoreAdj,omitempty"`
	// Groups are supplementary groups: names in the image's /etc/group, or numbers.
	Groups []string `json:"groupAdd,omitempty"`
}

// Rlimit is a limit of setrlimit(2); -1 is no limit.
type Rlimit struct {
	Name string `json:"name"` // like nofile
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// apply adds t to the process p.
func (t Tuning) apply(p *specs.Process) {
	p.OOMScoreAdj = t.OOMScoreAdj
	for _, l := range t.Rlimits {
		// -1 becomes the largest number, which is how the system call says that there is no limit.
		p.Rlimits = append(p.Rlimits, specs.POSIXRlimit{
			Type: "RLIMIT_" + strings.ToUpper(l.Name), Soft: uint64(l.Soft), Hard: uint64(l.Hard),
		})
	}
}
