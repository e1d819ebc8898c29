package settings_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestTuning(t *testing.T) {
	for line, want := range map[string]string{
		"": `{}`,
		"--ulimit nofile=1024:2048 --ulimit core=0 --ulimit core=-1": `{"ulimits":[{"name":"core","soft":-1,"hard":-1},{"name":"nofile","soft":1024,"hard":2048}]}`,
		"--ulimit nproc=5:-1":             `{"ulimits":[{"name":"nproc","soft":5,"hard":-1}]}`,
		"--oom-score-adj 0":               `{"oomScoreAdj":0}`,
		"--oom-score-adj -1000":           `{"oomScoreAdj":-1000}`,
		"--group-add staff --group-add 5": `{"groupAdd":["staff","5"]}`,
	} {
		c, err := describe(t, plainImage(), append(strings.Fields(line), "img")...)
		got, merr := json.Marshal(c.Settings.Tuning)
		if err = errors.Join(err, merr); err != nil || string(got) != want {
			t.Errorf("%s\ngot  %s, %v\nwant %s", line, got, err, want)
		}
	}
}

func TestEnding(t *testing.T) {
	c, err := describe(t, plainImage(), "--stop-timeout", "-1", "--annotation", "a=b=c", "--annotation", "org.x", "img")
	if err != nil || c.Settings.StopSignal != "SIGQUIT" || *c.Settings.StopTimeout != -1 || c.Settings.Annotations["a"] != "b=c" || len(c.Settings.Annotations) != 2 {
		t.Errorf("got %+v, %v", c.Settings, err)
	}
	c, err = describe(t, plainImage(), "--stop-signal", "usr1", "img")
	if err != nil || c.Settings.StopSignal != "usr1" || c.Settings.StopTimeout != nil || c.Settings.Annotations != nil {
		t.Errorf("got %+v, %v", c.Settings, err)
	}
}

func TestTuningRefused(t *testing.T) {
	for line, words := range map[string]string{
		"--ulimit nofile":       "NAME=SOFT",
		"--ulimit nofile=":      "NAME=SOFT",
		"--ulimit nofile=5:4":   "less than or equal",
		"--ulimit nofile=-1:4":  "less than or equal",
		"--ulimit nofile=-2":    "-1 for no limit",
		"--ulimit nofile=5:6:7": "NAME=SOFT",
		"--ulimit files=5":      "files",
		"--ulimit as=5":         "--memory",
		"--oom-score-adj 1001":  "-1000 to 1000",
		"--oom-score-adj -1001": "-1000 to 1000",
		"--stop-timeout -2":     "-1 to wait",
		"--stop-signal NOPE":    "NOPE",
		"--annotation =b":       "NAME=VALUE",
		"--group-add=":          "group",
	} {
		_, err := describe(t, plainImage(), append(strings.Fields(line), "img")...)
		if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want words %q", line, err, words)
		}
	}
}

func FuzzUlimit(f *testing.F) {
	for _, s := range []string{"nofile=1:2", "nofile=", "core=-1", "=1", "nproc=1:-1", "rss=-9:-9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := describe(t, plainImage(), "--ulimit="+s, "img")
		for _, l := range c.Settings.Tuning.Rlimits {
			if err == nil && (l.Soft < -1 || l.Hard < -1 || uint64(l.Soft) > uint64(l.Hard)) {
				t.Errorf("%q is %+v", s, l)
			}
		}
	})
}
