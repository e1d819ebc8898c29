package stage_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	_ "github.com/lrun-dev/lrun/runtime/stage"
)

// The variable alone must not turn a process that imports the package into a stage: anyone can set it.
func TestVariableAloneHasNoEffect(t *testing.T) {
	if os.Getenv("STAGE_TEST_CHILD") != "" {
		os.Stdout.WriteString("an ordinary process\n")
		return
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, value := range []string{"3", "0", "99", "x", ""} {
		cmd := exec.Command(os.Args[0], "-test.run=TestVariableAloneHasNoEffect")
		cmd.Env = append(os.Environ(), "STAGE_TEST_CHILD=1", "_LRUN_STAGE="+value)
		cmd.ExtraFiles = []*os.File{null}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "an ordinary process") {
			t.Errorf("_LRUN_STAGE=%s: %v: %s", value, err, out)
		}
	}
}
