package oracle

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest/corpus"
)

// TestUmoci is TestApply with the program umoci.
func TestUmoci(t *testing.T) {
	testutil.RequireRoot(t)
	t.Setenv("TMPDIR", "/dev/shm")
	limitFiles(t)
	top := t.TempDir()
	outside := watched(t, filepath.Join(top, "outside"))
	before := testutil.TreeHash(t, outside)
	var seen []string
	for i, c := range accepted(outside) {
		dir := filepath.Join(top, strconv.Itoa(i))
		writeLayout(t, dir, c)
		start := time.Now()
		out, err := exec.Command("umoci", "raw", "unpack", "--image", dir+":case", filepath.Join(dir, "rootfs")).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		seen = append(seen, check(t, "umoci", c, filepath.Join(dir, "rootfs"), start, err)...)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	everySeen(t, "umoci", seen)
	if testutil.TreeHash(t, outside) != before {
		t.Error("it changed what is outside")
	}
}

// writeLayout makes an OCI layout of a case, with plain layers.
func writeLayout(t *testing.T, dir string, c corpus.Case) {
	t.Helper()
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	describe := func(mediaType, content string) string {
		d := digest.FromString(content)
		write(filepath.Join(blobs, d.Encoded()), content)
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d`, mediaType, d, len(content))
	}
	const oci = "application/vnd.oci.image."
	var layers []string
	var diffIDs []digest.Digest
	for _, blob := range c.Layers {
		plain := string(corpus.Plain(blob))
		layers = append(layers, describe(oci+"layer.v1.tar", plain)+"}")
		diffIDs = append(diffIDs, digest.FromString(plain))
	}
	ids, err := json.Marshal(diffIDs)
	if err != nil {
		t.Fatal(err)
	}
	config := describe(oci+"config.v1+json", fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":%s}}`, ids))
	manifest := describe(oci+"manifest.v1+json", fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s},"layers":[%s]}`, config, strings.Join(layers, ",")))
	write(filepath.Join(dir, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
	write(filepath.Join(dir, "index.json"), fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s,"annotations":{"org.opencontainers.image.ref.name":"case"}}]}`, manifest))
}
