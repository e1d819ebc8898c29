package rootfs

import (
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
)

const (
	id        = digest.Digest("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	published = digest.Digest("sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210")
	elsewhere = digest.Digest("sha256:aaaa456789abcdef0123456789abcdef0123456789abcdef0123456789abaaaa")
	user      = "c0ffee0123456789c0ffee0123456789c0ffee0123456789c0ffee0123456789"
)

// record is one name of the image, "" for none, with its digest after a space if it has one.
func record(t *testing.T, text string) image.Record {
	t.Helper()
	name, d, _ := strings.Cut(text, " ")
	r := image.Record{Image: id, RepoDigest: digest.Digest(d)}
	if repository, ok := strings.CutPrefix(name, "was:"); ok {
		r.Repository = repository
		return r
	}
	if name == "" {
		return r
	}
	ref, err := image.ParseReference(name)
	if err != nil {
		t.Fatal(err)
	}
	r.Ref = ref.WithDefaultTag()
	return r
}

// TestDecide holds the rules of `docker rmi`. Each case says what Docker answers.
func TestDecide(t *testing.T) {
	const (
		unused = iota
		stopped
		running
	)
	d, e := " "+published.String(), " "+elsewhere.String()
	at := func(name string) string { return name + "@" + published.String() }
	for _, c := range []struct {
		title   string
		records []string
		arg     string
		found   int // which of records the name finds
		used    int
		force   bool
		lines   []string // untagged
		keeps   bool     // the image stays
		says    string   // error
	}{
		{title: "the only name", records: []string{"a"}, arg: "a", lines: []string{"a:latest"}},
		{title: "the only name, written out", records: []string{"a"}, arg: "docker.io/library/a:latest", lines: []string{"a:latest"}},
		{title: "one of two names", records: []string{"a", "b:1"}, arg: "b:1", found: 1, lines: []string{"b:1"}, keeps: true},
		{title: "one of two tags", records: []string{"a:1", "a:2"}, arg: "a:2", found: 1, lines: []string{"a:2"}, keeps: true},
		{title: "the only name, with a digest", records: []string{"a" + d}, arg: "a", lines: []string{"a:latest", at("a")}},
		{title: "one of two tags, with a digest", records: []string{"a:1" + d, "a:2" + d}, arg: "a:1", lines: []string{"a:1"}, keeps: true},
		{title: "one of two repositories, with digests", records: []string{"a" + d, "b" + e}, arg: "a", lines: []string{"a:latest", at("a")}, keeps: true},
		{title: "a digest that a tag has too", records: []string{"a" + d}, arg: at("a"), lines: []string{at("a")}, keeps: true},
		{title: "a digest alone", records: []string{at("a") + d}, arg: at("a"), lines: []string{at("a")}},
		{title: "the ID", records: []string{"a"}, arg: id.Encoded()[:12], lines: []string{"a:latest"}},
		{title: "the ID, with its algorithm", records: []string{"a" + d}, arg: id.String(), lines: []string{"a:latest", at("a")}},
		{title: "the ID of an image without a name", records: []string{""}, arg: id.Encoded()[:4]},
		{title: "the ID of an image that had one", records: []string{"was:docker.io/library/a" + d}, arg: id.Encoded()[:4], lines: []string{at("a")}},
		{title: "the ID of two tags", records: []string{"a:1", "a:2"}, arg: id.String(), says: "conflict: unable to delete 0123456789ab (must be forced) - image is referenced in multiple repositories"},
		{title: "the ID of two repositories", records: []string{"a", "b"}, arg: id.String(), says: "(must be forced) - image is referenced in multiple repositories"},
		{title: "the ID of two repositories by digest", records: []string{"a" + d, "was:docker.io/library/b" + e}, arg: id.String(), says: "multiple repositories"},
		{title: "the ID of two tags, forced", records: []string{"a:1", "a:2", "b"}, arg: id.String(), force: true, lines: []string{"a:1", "a:2", "b:latest"}},
		{title: "the name, a stopped container", records: []string{"a"}, arg: "a", used: stopped, says: `conflict: unable to remove repository reference "a" (must force) - container c0ffee012345 is using its referenced image 0123456789ab`},
		{title: "the name, a running container", records: []string{"a"}, arg: "a", used: running, says: `(must force) - container c0ffee012345 is using its referenced image 0123456789ab`},
		{title: "one of two names, a running container", records: []string{"a", "b"}, arg: "a", used: running, lines: []string{"a:latest"}, keeps: true},
		{title: "the name, a stopped container, forced", records: []string{"a"}, arg: "a", used: stopped, force: true, lines: []string{"a:latest"}},
		{title: "the name, a running container, forced", records: []string{"a"}, arg: "a", used: running, force: true, lines: []string{"a:latest"}, keeps: true},
		{title: "the ID, a stopped container", records: []string{"a"}, arg: id.String(), used: stopped, says: "conflict: unable to delete 0123456789ab (must be forced) - image is being used by stopped container c0ffee012345"},
		{title: "the ID, a stopped container, forced", records: []string{"a"}, arg: id.String(), used: stopped, force: true, lines: []string{"a:latest"}},
		{title: "the ID, a running container", records: []string{"a"}, arg: id.String(), used: running, says: "conflict: unable to delete 0123456789ab (cannot be forced) - image is being used by running container c0ffee012345"},
		{title: "the ID, a running container, forced", records: []string{"a"}, arg: id.String(), used: running, force: true, says: "(cannot be forced) - image is being used by running container c0ffee012345"},
		{title: "a name that looks like the ID", records: []string{"0123", "b"}, arg: "0123", lines: []string{"0123:latest"}, keeps: true},
		{title: "a name that begins the word sha256", records: []string{"s", "b"}, arg: "s", lines: []string{"s:latest"}, keeps: true},
	} {
		t.Run(c.title, func(t *testing.T) {
			var records []image.Record
			for _, text := range c.records {
				records = append(records, record(t, text))
			}
			inUse := func(asked digest.Digest) (string, bool) {
				if asked != id {
					t.Errorf("asked for the containers of %s", asked)
				}
				if c.used == unused {
					return "", false
				}
				return user, c.used == running
			}
			v, err := decide(c.arg, records[c.found], records, c.force, inUse)
			if c.says != "" {
				if !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want one that says %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(v.lines, c.lines) || v.drop == c.keeps {
				t.Errorf("untagged %q, image deleted: %v; want %q and %v", v.lines, v.drop, c.lines, !c.keeps)
			}
			if nothing := v.untag.IsZero() && len(v.forget) == 0; c.keeps && nothing {
				t.Error("nothing is done")
			}
		})
	}
}

// TestDecideWithoutContainers is for a caller that knows none.
func TestDecideWithoutContainers(t *testing.T) {
	records := []image.Record{record(t, "a")}
	if v, err := decide("a", records[0], records, false, nil); err != nil || !v.drop {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestShort(t *testing.T) {
	for long, want := range map[string]string{user: "c0ffee012345", "c1": "c1", "": ""} {
		if got := short(long); got != want {
			t.Errorf("short(%q) = %q", long, got)
		}
	}
}
