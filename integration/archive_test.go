package integration

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
)

// files are those of an archive or a layout, by name.
type files map[string][]byte

// mkimageCommand makes an archive, or a layout directory, of a specification:
//
//	mkimage [-f docker|docker-old|oci|oci-dir] [-z gzip|zstd] [-index] [-nested] [-symlinks] [-bare] SPEC OUT
//
// -index puts the images of one name into an index, -nested this into another one; -symlinks makes
// the blobs of a directory symlinks inside it, -bare leaves the file oci-layout out.
func mkimageCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: mkimage [OPTIONS] SPEC OUT")
	}
	for i := len(args) - 2; i >= 0 && i < len(args); i++ {
		args[i] = ts.MkAbs(args[i])
	}
	ts.Check(mkimage(args))
}

func mkimage(args []string) error {
	flags := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	format := flags.String("f", "docker", "")
	outer := flags.String("z", "plain", "")
	index, nested := flags.Bool("index", false, ""), flags.Bool("nested", false, "")
	symlinks, bare := flags.Bool("symlinks", false, ""), flags.Bool("bare", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	images, err := parseSpecFile(flags.Arg(0))
	if err != nil {
		return err
	}
	out := files{}
	switch *format {
	case "docker", "docker-old":
		err = dockerArchive(out, images, *format == "docker-old")
	case "oci", "oci-dir":
		err = ociLayout(out, images, *index || *nested, *nested)
	default:
		err = fmt.Errorf("no format %q", *format)
	}
	if err != nil {
		return err
	}
	if *bare {
		delete(out, "oci-layout")
	}
	if *format == "oci-dir" {
		return out.writeDir(flags.Arg(1), *symlinks)
	}
	return out.writeTar(flags.Arg(1), *outer)
}

// parts are the bytes of an image.
type parts struct {
	config []byte
	layers []ocispec.Descriptor
	tars   [][]byte // uncompressed
	blobs  [][]byte // as they are stored
}

func (im *imageSpec) parts() (parts, error) {
	var p parts
	config := im.config
	config.RootFS.Type = "layers"
	for i, l := range im.layers {
		plain, err := tarOf(l)
		if err != nil {
			return p, err
		}
		stored, err := compress(plain, l.compression)
		if err != nil {
			return p, err
		}
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(stored), Size: int64(len(stored))}
		if l.compression != "plain" {
			desc.MediaType += "+" + l.compression
		}
		diffID := digest.FromBytes(plain)
		if i == len(im.layers)-1 {
			switch im.lie {
			case "digest":
				stored = bytes.Clone(stored)
				stored[len(stored)/2] ^= 1
			case "size":
				desc.Size++
			case "diffid":
				diffID = digest.FromString("something else")
			}
		}
		p.layers, p.tars, p.blobs = append(p.layers, desc), append(p.tars, plain), append(p.blobs, stored)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID)
	}
	for i := range max(0, len(im.layers)+im.history) {
		config.History = append(config.History, ocispec.History{CreatedBy: fmt.Sprintf("step %d", i), EmptyLayer: i >= len(im.layers)})
	}
	var err error
	p.config, err = json.Marshal(config)
	return p, err
}

func dockerArchive(out files, images []*imageSpec, old bool) error {
	type item struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var manifest []item
	for _, im := range images {
		p, err := im.parts()
		if err != nil {
			return err
		}
		it := item{Config: digest.FromBytes(p.config).Encoded() + ".json", RepoTags: im.refs}
		if !old {
			it.Config = "blobs/sha256/" + digest.FromBytes(p.config).Encoded()
		}
		if im.lie == "config" {
			p.config = append(p.config, ' ')
		}
		out[it.Config] = p.config
		for i, plain := range p.tars {
			name := "blobs/sha256/" + digest.FromBytes(plain).Encoded()
			if old {
				dir := digest.FromString(fmt.Sprint(i, digest.FromBytes(plain))).Encoded()
				name = dir + "/layer.tar"
				out[dir+"/VERSION"], out[dir+"/json"] = []byte("1.0"), []byte("{}")
			}
			if im.lie == "digest" {
				plain = p.blobs[i]
			}
			out[name] = plain
			it.Layers = append(it.Layers, name)
		}
		manifest = append(manifest, it)
	}
	return out.json("manifest.json", manifest)
}

func ociLayout(out files, images []*imageSpec, index, nested bool) error {
	top := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	of := map[string][]ocispec.Descriptor{}
	for _, im := range images {
		desc, err := out.ociImage(im)
		if err != nil {
			return err
		}
		for _, ref := range append(im.refs, "")[:max(1, len(im.refs))] {
			if index {
				of[ref] = append(of[ref], desc)
			} else {
				top.Manifests = append(top.Manifests, named(desc, ref))
			}
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(of)) {
		desc, err := out.index(of[ref])
		if err == nil && nested {
			desc, err = out.index([]ocispec.Descriptor{desc})
		}
		if err != nil {
			return err
		}
		top.Manifests = append(top.Manifests, named(desc, ref))
	}
	out["oci-layout"] = []byte(`{"imageLayoutVersion":"1.0.0"}`)
	return out.json("index.json", top)
}

func named(desc ocispec.Descriptor, ref string) ocispec.Descriptor {
	if ref != "" {
		if !strings.Contains(path.Base(ref), ":") {
			ref += ":latest" // a word alone would be taken as a tag
		}
		desc.Annotations = map[string]string{ocispec.AnnotationRefName: ref}
	}
	return desc
}

// ociImage adds the blobs of an image and returns the descriptor of its manifest.
func (f files) ociImage(im *imageSpec) (ocispec.Descriptor, error) {
	p, err := im.parts()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for i, blob := range p.blobs {
		f[blobName(p.layers[i].Digest)] = blob
	}
	config := f.blob(ocispec.MediaTypeImageConfig, p.config)
	if im.lie == "config" {
		f[blobName(config.Digest)] = append(p.config, ' ')
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: p.layers,
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := f.blob(ocispec.MediaTypeImageManifest, manifest)
	if im.lie == "manifest" {
		f[blobName(desc.Digest)] = append(manifest, ' ')
	}
	desc.Platform = &im.config.Platform
	return desc, nil
}

func (f files) index(manifests []ocispec.Descriptor) (ocispec.Descriptor, error) {
	content, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests})
	return f.blob(ocispec.MediaTypeImageIndex, content), err
}

func (f files) blob(mediaType string, content []byte) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	f[blobName(desc.Digest)] = content
	return desc
}

func blobName(d digest.Digest) string { return "blobs/sha256/" + d.Encoded() }

func (f files) json(name string, v any) error {
	content, err := json.Marshal(v)
	f[name] = content
	return err
}

// writeTar writes the files as a tar in the order of their names, compressed or not.
func (f files) writeTar(to, compression string) error {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(f[name]))}); err != nil {
			return err
		}
		if _, err := w.Write(f[name]); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	content, err := compress(buf.Bytes(), compression)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

// writeDir writes the files; blobs, if asked, as symlinks to where they really are.
func (f files) writeDir(to string, symlinks bool) error {
	for name, content := range f {
		at := filepath.Join(to, name)
		if symlinks && strings.HasPrefix(name, "blobs/") {
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				return err
			}
			if err := os.Symlink("../../.store/"+path.Base(name), at); err != nil {
				return err
			}
			at = filepath.Join(to, ".store", path.Base(name))
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// provideImages makes the archives that most scripts use.
func provideImages(dir string) error {
	for name, text := range map[string]string{
		"busybox": "image busybox:latest\ncreated 2024-05-06T07:08:09Z\nconfig {\"Cmd\":[\"sh\"],\"Env\":[\"PATH=/bin\"]}\nlayer gzip\nbusybox\n",
	} {
		spec := filepath.Join(dir, name+".spec")
		if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
			return err
		}
		if err := mkimage([]string{"-f", "oci", spec, filepath.Join(dir, name+".tar")}); err != nil {
			return err
		}
	}
	return nil
}
