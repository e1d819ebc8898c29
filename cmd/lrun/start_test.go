package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Everything linked into lrun initialises itself at every start, so what it does there is a list. An allocation
// count does not depend on the machine, as a time would.
func TestLeanStart(t *testing.T) {
	if testing.Short() {
		t.Skip("builds lrun")
	}
	const few, all = 35, 1300 // allocations of one package, and of all together
	known := map[string]int{
		"github.com/opencontainers/go-digest": 900, // compiles two regular expressions
	}
	binary := filepath.Join(t.TempDir(), "lrun")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -tags=urfave_cli_no_docs")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	start := exec.CommandContext(t.Context(), binary, "version")
	start.Env = []string{"GODEBUG=inittrace=1"}
	var trace strings.Builder
	start.Stderr = &trace
	if err := start.Run(); err != nil {
		t.Fatal(err)
	}
	sum, packages := 0, 0
	for line := range strings.SplitSeq(trace.String(), "\n") {
		// init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs
		words := strings.Fields(line)
		if len(words) != 11 || words[0] != "init" {
			continue
		}
		n, err := strconv.Atoi(words[9])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		packages++
		sum += n
		if n > max(few, known[words[1]]) {
			t.Errorf("%s allocates %d times at every start: make it lazy, or do without it", words[1], n)
		}
		switch words[1] {
		case "net/http", "crypto/tls", "html/template", "google.golang.org/grpc", "github.com/russross/blackfriday/v2":
			t.Errorf("%s is linked into lrun", words[1])
		}
	}
	if sum > all || packages < 10 {
		t.Errorf("%d packages allocate %d times at every start, more than %d", packages, sum, all)
	}
}
