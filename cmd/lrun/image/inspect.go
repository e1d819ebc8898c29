package image

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/cmd/lrun/inspect"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/snapshot"
)

// Inspector finds images for `lrun inspect`.
func Inspector(e *env.Env) inspect.Inspector { return inspector{e} }

type inspector struct{ env *env.Env }

// Type is the word for what is inspected.
func (inspector) Type() string { return "image" }

// details is an image in Docker's words.
type details struct {
	ID            string `json:"Id"`
	RepoTags      []string
	RepoDigests   []string
	Parent        string
	Comment       string
	Created       string
	DockerVersion string
	Author        string
	Config        config
	Architecture  string
	Variant       string `json:",omitempty"`
	Os            string
	Size          int64
	GraphDriver   graphDriver
	RootFS        rootFS
	Metadata      metadata
	Descriptor    descriptor
}

type graphDriver struct {
	Name string
	Data map[string]string
}

type rootFS struct {
	Type   string
	Layers []digest.Digest
}

type metadata struct{ LastTagTime time.Time }

// descriptor is that of the manifest.
type descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
}

// config is what the image says about its containers, with Docker's extensions of the OCI config.
type config struct {
	User         string
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string
	Cmd          []string
	Healthcheck  *healthcheck `json:",omitempty"`
	ArgsEscaped  bool         `json:",omitempty"`
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	OnBuild      []string
	Labels       map[string]string
	StopSignal   string   `json:",omitempty"`
	Shell        []string `json:",omitempty"`
}

type healthcheck struct {
	Test          []string `json:",omitempty"`
	Interval      int64    `json:",omitempty"` // nanoseconds, as the others
	Timeout       int64    `json:",omitempty"`
	StartPeriod   int64    `json:",omitempty"`
	StartInterval int64    `json:",omitempty"`
	Retries       int      `json:",omitempty"`
}

// Inspect returns what is known of the image that name means.
func (i inspector) Inspect(ctx context.Context, name string, _ bool) (any, error) {
	rec, im, err := load(ctx, i.env, name)
	if err != nil {
		return nil, err
	}
	// What the frame of the config says: the parts that ocispec.Image has not.
	var extra struct {
		DockerVersion string `json:"docker_version"`
		Comment       string `json:"comment"`
		Config        config `json:"config"`
	}
	if err := json.Unmarshal(im.RawConfig, &extra); err != nil {
		return nil, errdefs.ErrDataLoss.WithMessage("decode config of image " + name + ": " + err.Error())
	}
	d := details{
		ID: im.ID.String(), Comment: extra.Comment, DockerVersion: extra.DockerVersion, Author: im.Config.Author,
		Config: extra.Config, Architecture: im.Config.Architecture, Variant: im.Config.Variant, Os: im.Config.OS,
		Size:       rec.Size,
		RootFS:     rootFS{Type: im.Config.RootFS.Type, Layers: im.Config.RootFS.DiffIDs},
		Descriptor: descriptor{MediaType: im.Manifest.MediaType, Digest: im.Manifest.Digest, Size: im.Manifest.Size},
	}
	if h := im.Config.History; d.Comment == "" && len(h) > 0 {
		d.Comment = h[len(h)-1].Comment
	}
	if im.Config.Created != nil {
		d.Created = im.Config.Created.Format(time.RFC3339Nano)
	}
	if d.RepoTags, d.RepoDigests, err = i.names(ctx, im.ID); err != nil {
		return nil, err
	}
	d.GraphDriver, err = i.layers(ctx, im)
	return d, err
}

// names are all names of the image id, with tags and with digests.
func (i inspector) names(ctx context.Context, id digest.Digest) (tags, digests []string, err error) {
	tags, digests = []string{}, []string{}
	images, err := i.env.Images()
	if err != nil {
		return nil, nil, err
	}
	records, err := images.List(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range records {
		if r.Image != id {
			continue
		}
		if r.Ref.Tag() != "" {
			tags = append(tags, r.Ref.Familiar())
		}
		if repository := repositoryOf(r); repository != "" && r.RepoDigest != "" {
			digests = append(digests, repository+"@"+r.RepoDigest.String())
		}
	}
	slices.Sort(digests)
	return tags, slices.Compact(digests), nil
}

// repositoryOf is the short name of the repository that a record is or was in.
func repositoryOf(r image.Record) string {
	repository, _ := Names(r)
	if repository == "<none>" {
		return ""
	}
	return repository
}

// layers says where the driver keeps the image's layers: the topmost as UpperDir, those below as LowerDir, the
// nearest first, as Docker does.
func (i inspector) layers(ctx context.Context, im image.Image) (graphDriver, error) {
	driver, err := i.env.Driver()
	if err != nil {
		return graphDriver{}, err
	}
	snapshots, err := i.env.Snapshots()
	if err != nil {
		return graphDriver{}, err
	}
	g := graphDriver{Name: driver.Name, Data: map[string]string{}}
	chains := im.ChainIDs()
	if len(chains) == 0 {
		return g, nil
	}
	chain, err := snapshots.Chain(ctx, chains[len(chains)-1].String())
	if errdefs.IsNotFound(err) { // not unpacked for this driver
		return g, nil
	}
	if err != nil {
		return g, err
	}
	paths, err := layerPaths(ctx, snapshots, chain)
	switch {
	case err != nil || len(paths) == 0:
	case driver.Name != "overlayfs": // the topmost holds the whole tree
		g.Data["Dir"] = paths[0]
	default:
		g.Data["UpperDir"] = paths[0]
		if len(paths) > 1 {
			g.Data["LowerDir"] = strings.Join(paths[1:], ":")
		}
	}
	return g, err
}

// layerPaths are the directories of a chain of snapshots.
func layerPaths(ctx context.Context, snapshots *snapshot.Store, chain []snapshot.Info) ([]string, error) {
	var paths []string
	for _, s := range chain {
		p, err := snapshots.Path(ctx, s.Key)
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}
