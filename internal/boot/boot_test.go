package boot

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestID(t *testing.T) {
	got, err := ID()
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(got) {
		t.Errorf("ID() = %q, which is no UUID", got)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(kernel)) != got {
		t.Errorf("ID() = %q, the kernel says %q", got, kernel)
	}
	if again, err := ID(); err != nil || again != got {
		t.Errorf("ID() = %q, %v the second time, and %q the first", again, err, got)
	}
}
