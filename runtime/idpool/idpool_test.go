package idpool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
)

func holder(i int) string { return fmt.Sprintf("%08x", i*2654435761) + strings.Repeat("0", 8) }

func TestManyTakeAtOnce(t *testing.T) {
	p := Open(filepath.Join(t.TempDir(), "ids"))
	ids := extents{{1000, 3*Size + 5}, {1 << 31, 22 * Size}, {5, 7}} // 25 ranges
	var mutex sync.Mutex
	taken := map[uint32]string{}
	var wg sync.WaitGroup
	for i := range 25 {
		wg.Go(func() {
			start, err := p.takeOf(ids, holder(i))
			mutex.Lock()
			defer mutex.Unlock()
			if other, twice := taken[start]; err != nil || twice {
				t.Errorf("%s got %d, which %q has: %v", holder(i), start, other, err)
			}
			taken[start] = holder(i)
		})
	}
	wg.Wait()
	for start := range taken {
		if d := int64(start) - 1000; (d%Size != 0 || d/Size > 2) && (int64(start)-1<<31)%Size != 0 {
			t.Errorf("%d begins no range", start)
		}
	}
	if start, err := p.takeOf(ids, holder(99)); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "all 25 ranges") {
		t.Errorf("got %d, %v", start, err)
	}
	for start, who := range taken {
		if err := p.Drop(start, "somebody else"); err != nil {
			t.Fatal(err)
		}
		if got, err := p.takeOf(ids, holder(99)); err == nil {
			t.Fatalf("%d was taken from %s", got, who)
		}
		if err := errors.Join(p.Drop(start, who), p.Drop(start, who)); err != nil {
			t.Fatal(err)
		}
		if got, err := p.takeOf(ids, holder(99)); err != nil || got != start {
			t.Errorf("the free one is %d, got %d, %v", start, got, err)
		}
		break
	}
}

func TestDropOf(t *testing.T) {
	p := Open(filepath.Join(t.TempDir(), "ids"))
	if err := errors.Join(p.DropOf(func(string) bool { return true }), p.Drop(1, "x")); err != nil {
		t.Errorf("without a directory: %v", err)
	}
	for i := range uint32(4) {
		if err := errors.Join(p.Retake(i*Size, holder(int(i%2))), p.Retake(i*Size, "other")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(p.dir, "not a range"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.DropOf(func(id string) bool { return id == holder(1) }); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(p.dir)
	if err != nil || len(left) != 3 {
		t.Errorf("left: %v, %v", left, err)
	}
	for _, start := range []uint32{0, 2 * Size} {
		if id, err := os.Readlink(p.path(start)); err != nil || id != holder(0) {
			t.Errorf("%d is %s's, %v", start, id, err)
		}
	}
}

func TestTakeOfTheMachine(t *testing.T) {
	p := Open(filepath.Join(t.TempDir(), "ids"))
	start, err := p.Take(holder(7))
	if err != nil || start == 0 {
		t.Fatalf("got %d, %v", start, err)
	}
	if id, err := os.Readlink(p.path(start)); err != nil || id != holder(7) {
		t.Errorf("%d is %q's, %v", start, id, err)
	}
}

func TestIDsOf(t *testing.T) {
	const normal = "user:100000:65536\ncontainers:2147483647:2147483648\n"
	for _, c := range []struct{ name, subuid, subgid, want string }{
		{"no files", "-", "-", "[{1879048192 268304384}]"},
		{"no entry", "user:100000:65536\n", "", "[{1879048192 268304384}]"},
		{"podman's", normal, normal, "[{2147483647 2147483648}]"},
		{"in common", "containers:100000:200000\n", "containers:200000:200000", "[{200000 100000}]"},
		{"two lines", "containers:100000:100000\ncontainers:400000:65536\n", "containers:1:1000000\n", "[{100000 100000} {400000 65536}]"},
		{"the same twice", "containers:100000:100000\ncontainers:150000:100000\n", "containers:100000:900000\n", "[{100000 100000} {200000 50000}]"},
		{"another's name", "containers2:5:70000\nxcontainers:5:70000\n", "containers2:5:70000\n", "[{1879048192 268304384}]"},
		{"one side only", normal, "", "!in common"},
		{"nothing in common", "containers:100000:70000\n", "containers:300000:70000\n", "!in common"},
		{"too few", "containers:100000:60000\n", "containers:100000:60000\n", "!in common"},
		{"no number", "containers:x:60000\n", "", `!line "containers:x:60000"`},
		{"root", "containers:0:70000\n", "", "!NAME:START:COUNT"},
		{"too many", "containers:4294967000:70000\n", "", "!NAME:START:COUNT"},
		{"no count", "containers:5\n", "", "!NAME:START:COUNT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range map[string]string{"subuid": c.subuid, "subgid": c.subgid} {
				if content == "-" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := idsOf(filepath.Join(dir, "subuid"), filepath.Join(dir, "subgid"))
			if want, bad := strings.CutPrefix(c.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, %v, want %s", got, err, want)
				}
				return
			}
			if err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("got %v, %v, want %s", got, err, c.want)
			}
		})
	}
}

func FuzzParseSubIDs(f *testing.F) {
	f.Add([]byte("user:100000:65536\ncontainers:2147483647:2147483648\n"))
	f.Add([]byte("containers:1:4294967294\n#\n:::\ncontainers:"))
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := parseSubIDs(content, poolUser)
		if err != nil {
			return
		}
		both := intersect(list, list)
		for i, e := range both {
			if e.start == 0 || e.start+e.size > 1<<32-1 || i > 0 && both[i-1].start+both[i-1].size > e.start {
				t.Errorf("%q: %v", content, both)
			}
		}
		if n := both.count(); n > 0 {
			if last := both.at(n - 1); last == 0 || uint64(last)+Size > 1<<32-1 {
				t.Errorf("%q: the last range begins with %d", content, last)
			}
		}
	})
}
