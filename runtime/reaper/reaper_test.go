package reaper_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lrun-dev/lrun/runtime/reaper"
)

func TestMainReturnsTheProgramsEnd(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"its exit code":      {[]string{"--", "sh", "-c", "exit 3"}, 3},
		"killed by a signal": {[]string{"--", "sh", "-c", "kill -TERM $$"}, 128 + 15},
		"not there":          {[]string{"--", "no-such-program"}, 127},
		"no such file":       {[]string{"--", "/no/such/program"}, 127},
		"not executable":     {[]string{"--", plain}, 126},
		"a directory":        {[]string{"--", os.TempDir()}, 126},
		"no program":         {[]string{"--"}, 125},
		"not our arguments":  {[]string{"sh"}, 125},
	} {
		t.Run(name, func(t *testing.T) {
			if code := reaper.Main(c.args); code != c.code {
				t.Errorf("got %d, want %d", code, c.code)
			}
		})
	}
}
