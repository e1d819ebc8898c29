package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// row is what the plan says of a package: its rank, and what it may import from the module. Its tests
// may import everything of a lower rank, and its own children.
type row struct {
	rank int
	may  []string
}

// rows has a row for each package. A name that ends in /* stands for all below. A new package is a
// new row, with a reason.
var rows = map[string]row{
	"internal/*":    {0, nil},
	"internal/tree": {0, []string{"internal/flock", "internal/subvolume"}}, // what it deletes may be one

	"mount":                           {1, []string{"internal/*"}},
	"layer":                           {1, []string{"internal/*", "layer/diff", "layer/identity", "layer/manifest", "layer/needs", "layer/pack", "layer/settle", "layer/unpack"}},
	"layer/diff":                      {1, []string{"internal/*", "layer/pack"}},                                                                   // the inside of layer.Diff
	"layer/identity":                  {1, nil},                                                                                                    // image needs ChainIDs, but no layers
	"layer/manifest":                  {1, []string{"internal/*"}},                                                                                 // what a layer's files are, for checks
	"layer/needs":                     {1, []string{"layer/manifest"}},                                                                             // what unpack notes and settle does
	"layer/pack":                      {1, []string{"internal/*"}},                                                                                 // what WriteTar and Diff have in common
	"layer/split":                     {1, []string{"layer/manifest"}},                                                                             // a layer's tar without the contents of its files
	"layer/unpack":                    {1, []string{"internal/*", "layer/manifest", "layer/needs", "layer/unpack/content", "layer/unpack/header"}}, // the inside of layer.Apply
	"layer/unpack/header":             {1, []string{"internal/*", "layer/needs"}},                                                                  // what a tar entry says of a file
	"layer/unpack/content":            {1, []string{"internal/*"}},                                                                                 // the bytes of a file
	"layer/settle":                    {1, []string{"internal/*", "layer/manifest", "layer/needs"}},                                                // the inside of layer.Settle
	"layer/layertest":                 {1, []string{"internal/*", "layer", "layer/manifest"}},
	"layer/layertest/corpus":          {1, []string{"layer/layertest"}},                           // hostile and odd layers
	"layer/layertest/corpus/archives": {1, []string{"layer/layertest", "layer/layertest/corpus"}}, // hostile and odd images
	"image/blob":                      {1, []string{"internal/*"}},
	"image/change":                    {1, []string{"internal/*"}}, // import and commit both change configs
	"image/grammar":                   {1, nil},                    // the pieces of names
	"network":                         {1, []string{"internal/*"}},
	"volume":                          {1, []string{"internal/*"}},

	"overlay":               {2, []string{"internal/*", "mount"}},
	"snapshot":              {2, []string{"internal/*", "mount", "snapshot/claim", "snapshot/id", "snapshot/key", "snapshot/layout", "snapshot/quota", "snapshot/record"}},
	"snapshot/claim":        {2, []string{"internal/*"}},                                                  // one file of staging/
	"snapshot/id":           {2, nil},                                                                     // names of directories
	"snapshot/key":          {2, nil},                                                                     // file names and words of any bytes
	"snapshot/layout":       {2, []string{"internal/*"}},                                                  // the directories of a store
	"snapshot/quota":        {2, []string{"internal/*", "mount"}},                                         // bounds one snapshot, whatever the driver
	"snapshot/record":       {2, []string{"internal/*", "snapshot/id", "snapshot/key", "snapshot/quota"}}, // one file of records/
	"snapshot/snapshottest": {2, []string{"internal/*", "mount", "snapshot", "snapshot/quota", "layer/layertest"}},
	"image":                 {2, []string{"internal/*", "image/blob", "image/grammar", "layer/identity"}},

	"snapshot/overlayfs":           {3, []string{"internal/*", "mount", "overlay", "snapshot", "snapshot/quota"}},
	"snapshot/vfs":                 {3, []string{"internal/*", "mount", "overlay", "snapshot", "snapshot/quota"}},
	"snapshot/btrfs":               {3, []string{"internal/*", "mount", "snapshot"}},
	"image/archive":                {3, []string{"internal/*", "image", "image/archive/tree", "image/blob", "image/change", "layer"}},
	"image/archive/save":           {3, []string{"internal/*", "image", "image/blob", "layer/split"}},
	"image/archive/tree":           {3, []string{"internal/*", "image", "image/blob", "layer"}},
	"image/child":                  {3, []string{"internal/*", "image", "image/blob"}}, // what commit makes
	"image/builtin":                {3, []string{"internal/*", "image", "image/blob", "layer"}},
	"runtime":                      {3, []string{"internal/*", "mount", "network", "runtime/*"}},
	"runtime/apparmor":             {3, nil}, // what AppArmor of this machine can do
	"runtime/capability":           {3, nil},
	"runtime/cgroup":               {3, []string{"internal/*", "mount", "network", "runtime/cgroup/delegate", "runtime/cgroup/device"}},
	"runtime/cgroup/delegate":      {3, nil}, // controllers of version 2
	"runtime/cgroup/device":        {3, nil},
	"runtime/filesystem":           {3, []string{"internal/*", "mount", "runtime/spec"}}, // what launch attaches
	"runtime/idpool":               {3, []string{"internal/*"}},                          // ranges of ids, which know no container
	"runtime/launch":               {3, []string{"internal/*", "mount", "network", "runtime/apparmor", "runtime/cgroup", "runtime/filesystem", "runtime/launch/console", "runtime/launch/failure", "runtime/launch/process", "runtime/launch/program", "runtime/launch/reach", "runtime/launch/self", "runtime/launch/userns", "runtime/namespace", "runtime/seccomp", "runtime/reaper", "runtime/spec", "runtime/stage"}},
	"runtime/hold":                 {3, []string{"internal/*", "runtime/cgroup"}}, // a container kept still
	"runtime/launch/console":       {3, nil},                                      // the terminal of an external runtime
	"runtime/launch/failure":       {3, []string{"runtime/stage"}},                // words for what the stage reports
	"runtime/launch/process":       {3, nil},
	"runtime/launch/program":       {3, []string{"internal/*"}},                                  // the executable of an external runtime
	"runtime/launch/reach":         {3, []string{"mount", "runtime/filesystem", "runtime/spec"}}, // what an external runtime finds by path
	"runtime/launch/self":          {3, nil},
	"runtime/launch/userns":        {3, []string{"internal/*", "runtime/spec"}},
	"runtime/machine":              {3, []string{"internal/*", "runtime/capability", "runtime/cgroup"}}, // what starts must know of it
	"runtime/source":               {3, []string{"internal/*", "mount", "runtime/spec"}},
	"runtime/mountpoint":           {3, []string{"mount", "overlay", "runtime/spec"}},
	"runtime/name":                 {3, nil}, // what a container may be called
	"runtime/namespace":            {3, nil}, // what the thread does that makes the first process
	"runtime/reaper":               {3, nil},
	"runtime/resolve":              {3, []string{"internal/*", "runtime/spec"}},
	"runtime/seccomp":              {3, []string{"internal/*", "mount", "network"}},
	"runtime/seccomp/cache":        {3, []string{"internal/*"}},
	"runtime/seccomp/internal/gen": {3, nil},                                             // go generate
	"runtime/selinux":              {3, []string{"mount"}},                               // what SELinux of this machine can do
	"runtime/share":                {3, []string{"internal/*", "mount", "runtime/spec"}}, // what containers share with each other
	"runtime/spec":                 {3, []string{"internal/*", "mount", "network"}},
	"runtime/stage":                {3, []string{"runtime/stage/sys"}},
	"runtime/stage/sys":            {3, nil}, // its system calls

	"layer/oracle":         {4, nil}, // other programs with the corpus, a module of its own: tests alone
	"snapshot/conformance": {4, nil}, // containerd's suite, a module of its own: tests alone

	"rootfs":            {4, []string{"internal/*", "image", "image/blob", "layer", "layer/manifest", "mount", "overlay", "rootfs/chain", "rootfs/dropped", "rootfs/heal", "rootfs/pairs", "snapshot", "snapshot/quota"}},
	"rootfs/chain":      {4, []string{"internal/*", "image", "image/blob", "layer", "layer/manifest", "layer/split", "mount", "overlay", "rootfs/chain/full", "rootfs/chain/lock", "snapshot", "snapshot/quota"}},
	"rootfs/chain/full": {4, []string{"layer"}},      // what to say when there is no room
	"rootfs/chain/lock": {4, []string{"internal/*"}}, // locks that end with the command

	"rootfs/check":   {4, []string{"internal/*", "image", "image/blob", "layer", "layer/identity", "layer/manifest", "layer/split", "rootfs/chain", "rootfs/chain/lock", "rootfs/dropped", "snapshot", "snapshot/layout", "volume"}}, // is what is there what was stored
	"rootfs/pairs":   {4, []string{"image", "layer", "rootfs/chain"}},                                                                                                                                                                // which blob is which layer
	"rootfs/heal":    {4, []string{"internal/*", "image", "image/blob", "rootfs/chain", "rootfs/check", "snapshot"}},                                                                                                                 // made new out of what is loaded
	"rootfs/dropped": {4, []string{"internal/*", "image", "image/blob", "layer", "layer/manifest", "layer/split", "snapshot"}},                                                                                                       // layers whose blobs are not kept
	"rootfs/format":  {4, []string{"internal/*"}},                                                                                                                                                                                    // format.json

	"cmd/*":                    {6, []string{"*"}},
	"scripts/*":                {6, nil}, // measure the binary from outside
	"integration":              {6, []string{"*"}},
	"integration/oracle":       {6, nil},
	"integration/writelog":     {6, nil}, // what a disk was told to write
	"integration/oracle/probe": {6, nil}, // runs inside containers
}

// testOnly are the packages that only tests import, and each other.
var testOnly = []string{"internal/archtest", "integration/writelog", "internal/testutil", "layer/layertest", "layer/layertest/corpus", "layer/layertest/corpus/archives", "snapshot/snapshottest"}

// confined says which packages may import a library, by prefixes of import paths. Tests may import any.
var confined = map[string][]string{
	"github.com/urfave/cli":             {"cmd/lrun/*", "cmd/lrun"},
	"charm.land/":                       {"cmd/lrun/internal/tui"},
	"google.golang.org/grpc":            {"cmd/lrun-snapshotter", "snapshot/service"},
	"github.com/containerd/containerd":  {"cmd/lrun-snapshotter", "snapshot/service"}, // snapshot/conformance has tests alone
	"github.com/distribution/reference": {},                                           // 0.6 ms at every start
	"os/exec":                           {"runtime", "runtime/*", "snapshot/quota", "cmd/*", "integration", "scripts/*"},
	"log":                               {"cmd/*", "runtime/monitor"}, // libraries never log
	"net/http":                          {"cmd/*", "image/registry"},  // init at every start
	"text/template":                     {"cmd/*"},
}

// stageImports is all that the start stage may import, or it would not be initialised first.
var stageImports = []string{"syscall", "unsafe"}

// longestChain is how many packages below cmd may stand on each other. A package and those children
// that share its rank count as one.
const longestChain = 5

func TestImports(t *testing.T) {
	for _, v := range importViolations(goFiles(t)) {
		t.Error(v)
	}
}

func TestImportChain(t *testing.T) {
	edges := map[string][]string{}
	for _, f := range goFiles(t) {
		from := house(f.pkg)
		for _, p := range f.imports() {
			if to, ok := own(p); ok && !f.test && !matches("cmd/*", f.pkg) && house(to) != from {
				edges[from] = append(edges[from], house(to))
			}
		}
	}
	for pkg := range edges {
		if c := chain(pkg, edges); len(c) > longestChain {
			t.Errorf("%d packages stand on each other: %s", len(c), strings.Join(c, " → "))
		}
	}
}

func TestHouse(t *testing.T) {
	for pkg, want := range map[string]string{
		"rootfs/chain": "rootfs", "runtime/stage": "runtime", "image/blob": "image/blob",
		"snapshot/vfs": "snapshot/vfs", "internal/flock": "internal/flock", "mount": "mount",
	} {
		if got := house(pkg); got != want {
			t.Errorf("%s belongs to %s, want %s", pkg, got, want)
		}
	}
}

// house returns the outermost package that pkg is a child of and shares the rank with.
func house(pkg string) string {
	for {
		parent := path.Dir(pkg)
		above, ok := rows[parent]
		below, _ := rowOf(pkg)
		if !ok || above.rank != below.rank {
			return pkg
		}
		pkg = parent
	}
}

// chain returns the longest chain of imports from pkg on.
func chain(pkg string, edges map[string][]string) []string {
	var longest []string
	for _, to := range edges[pkg] {
		if c := chain(to, edges); len(c) > len(longest) {
			longest = c
		}
	}
	return append([]string{pkg}, longest...)
}

func TestImportViolations(t *testing.T) {
	const own = module + "/"
	tests := []struct{ name, file, imports, want string }{
		{"down", "rootfs/a.go", own + "image/blob", ""},
		{"up", "image/blob/a.go", own + "image", "may not import image"},
		{"sideways", "layer/a.go", own + "overlay", "may not import overlay"},
		{"from internal", "internal/flock/a.go", own + "mount", "may not import mount"},
		{"own child", "runtime/a.go", own + "runtime/stage", ""},
		{"a test's own child", "snapshot/a_test.go", own + "snapshot/vfs", ""},
		{"a test, down", "rootfs/a_test.go", own + "snapshot/vfs", ""},
		{"a test, sideways", "layer/a_test.go", own + "mount", "may not import mount"},
		{"no row", "helpers/a.go", "fmt", "has no row"},
		{"cmd takes anything", "cmd/lrun/image/a.go", own + "rootfs", ""},
		{"test helper in a test", "layer/a_test.go", own + "internal/testutil", ""},
		{"test helper in code", "layer/a.go", own + "internal/testutil", "may not import internal/testutil"},
		{"test helpers together", "snapshot/snapshottest/a.go", own + "internal/testutil", ""},
		{"suite by another's test", "rootfs/a_test.go", own + "snapshot/snapshottest", ""},
		{"library in its place", "cmd/lrun/a.go", "github.com/urfave/cli/v2", ""},
		{"library elsewhere", "rootfs/a.go", "github.com/urfave/cli/v2", "may not import github.com/urfave/cli/v2"},
		{"child process", "layer/a.go", "os/exec", "may not import os/exec"},
		{"child process in a test", "layer/a_test.go", "os/exec", ""},
		{"child process in a suite", "snapshot/snapshottest/a.go", "os/exec", ""},
		{"log/slog", "layer/a.go", "log/slog", "may not import log/slog"},
		{"login is not log", "layer/a.go", "login", ""},
		{"stage", "runtime/stage/a.go", "syscall", ""},
		{"stage with more", "runtime/stage/a.go", "os", "may not import os"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := source(t, tt.file, fmt.Sprintf("package p\nimport _ %q\n", tt.imports))
			got := strings.Join(importViolations([]file{f}), "; ")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// importViolations lists what files import against the tables.
func importViolations(files []file) []string {
	var found []string
	for _, f := range files {
		own, ok := rowOf(f.pkg)
		if !ok {
			found = append(found, fmt.Sprintf("%s: package %s has no row", f.name, f.pkg))
			continue
		}
		for _, p := range f.imports() {
			if !importAllowed(f, p, own) {
				found = append(found, fmt.Sprintf("%s: %s may not import %s", f.name, f.pkg, strings.TrimPrefix(p, module+"/")))
			}
		}
	}
	return found
}

// rowOf returns the row of pkg: its own, else one that ends in /*.
func rowOf(pkg string) (row, bool) {
	if r, ok := rows[pkg]; ok {
		return r, true
	}
	for pattern, r := range rows {
		if matches(pattern, pkg) {
			return r, true
		}
	}
	return row{}, false
}

// importAllowed decides about one import of f, whose package has the row from.
func importAllowed(f file, p string, from row) bool {
	to, ok := own(p)
	if !ok {
		return libraryAllowed(f, p)
	}
	if slices.Contains(testOnly, to) {
		return f.test || slices.Contains(testOnly, f.pkg)
	}
	if target, ok := rowOf(to); f.test && ok && (target.rank < from.rank || strings.HasPrefix(to+"/", f.pkg+"/")) {
		return true
	}
	return slices.ContainsFunc(from.may, func(pattern string) bool { return matches(pattern, to) })
}

// libraryAllowed decides about an import from outside the module.
func libraryAllowed(f file, p string) bool {
	if f.test || slices.Contains(testOnly, f.pkg) {
		return true
	}
	if strings.HasPrefix(f.pkg, "runtime/stage") {
		return slices.Contains(stageImports, p)
	}
	for library, places := range confined {
		if p == library || strings.HasPrefix(p, strings.TrimSuffix(library, "/")+"/") {
			return slices.ContainsFunc(places, func(place string) bool { return matches(place, f.pkg) })
		}
	}
	return true
}

// matches reports whether pkg is pattern, or below it when it ends in *.
func matches(pattern, pkg string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(pkg, prefix)
	}
	return pattern == pkg
}
