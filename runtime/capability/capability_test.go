package capability_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/runtime/capability"
)

func TestBoundingIsWhatThisProcessHas(t *testing.T) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string) (mask uint64) {
		_, rest, _ := strings.Cut(string(status), name+":\t")
		if _, err := fmt.Sscanf(rest, "%x", &mask); err != nil {
			t.Fatal(err)
		}
		return mask
	}
	if got, err := capability.Bounding(); err != nil || got != set("CapBnd")&set("CapPrm") {
		t.Errorf("got %#x, %v", got, err)
	}
}
