package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/atomicfile"
)

// The annotations of an entry in index.json that make it a record.
const (
	annotationName       = ocispec.AnnotationRefName // the full reference; absent: dangling
	annotationContainerd = "io.containerd.image.name"
	annotationID         = "dev.lrun.image.id"
	annotationCreated    = "dev.lrun.image.created" // RFC 3339 with nanoseconds
	annotationSize       = "dev.lrun.image.size"    // bytes
	annotationRepoDigest = "dev.lrun.repo.digest"
	annotationRepository = "dev.lrun.repo.name"
)

func (s *Store) indexPath() string { return filepath.Join(s.dir, ocispec.ImageIndexFile) }

// versioned is the member of a document that says how the others are to be read.
type versioned struct{ SchemaVersion int }

func (v versioned) version() int { return v.SchemaVersion }

// members are those of an index, whether lrun knows them or not.
type members map[string]json.RawMessage

func (m members) version() (n int) {
	_ = json.Unmarshal(m["schemaVersion"], &n) // what is no number is no version
	return n
}

// readIndex decodes index.json into v. Open made the file, of version 2: if it is gone or says no version, images are lost.
func (s *Store) readIndex(v interface{ version() int }) error {
	err := atomicfile.ReadJSON(s.indexPath(), v)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", err, errdefs.ErrDataLoss)
	}
	if versionErr := checkVersion(v.version()); versionErr != nil { // what has another shape, has it because of that
		return fmt.Errorf("%q: %w", s.indexPath(), versionErr)
	}
	if err == nil && v.version() == 0 {
		err = fmt.Errorf("decode %q: it has no schemaVersion: %w", s.indexPath(), errdefs.ErrDataLoss)
	}
	return err
}

// records returns the records in index.json.
func (s *Store) records() ([]Record, error) {
	var index struct {
		versioned
		Manifests []ocispec.Descriptor
	}
	if err := s.readIndex(&index); err != nil {
		return nil, err
	}
	records := make([]Record, 0, len(index.Manifests))
	for _, d := range index.Manifests {
		if r, ok := recordOf(d); ok {
			records = append(records, r)
		}
	}
	return records, nil
}

// update replaces the records in index.json by what change makes of them. All else that is in the
// file, whole entries and members of the index, stays as it is. An error of change leaves the file alone.
func (s *Store) update(ctx context.Context, verb string, change func([]Record) ([]Record, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.replace(change); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

func (s *Store) replace(change func([]Record) ([]Record, error)) error {
	data, err := s.changed(change)
	if err != nil {
		return err
	}
	return atomicfile.Write(s.indexPath(), data, 0o644, s.blobs.Sync())
}

// changed returns what index.json becomes by change.
func (s *Store) changed(change func([]Record) ([]Record, error)) ([]byte, error) {
	var index members
	if err := s.readIndex(&index); err != nil {
		return nil, err
	}
	entries, records, err := split(index["manifests"])
	if err != nil {
		return nil, fmt.Errorf("decode %q: %w: %w", s.indexPath(), errdefs.ErrDataLoss, err)
	}
	if records, err = change(records); err != nil {
		return nil, err
	}
	for _, r := range records {
		data, err := json.Marshal(r.descriptor())
		if err != nil {
			return nil, err
		}
		entries = append(entries, data)
	}
	if index["manifests"], err = json.Marshal(entries); err != nil {
		return nil, err
	}
	return json.Marshal(index)
}

// split separates the entries of other tools from records.
func split(manifests json.RawMessage) (others []json.RawMessage, records []Record, err error) {
	others = []json.RawMessage{}
	if manifests == nil {
		return others, nil, nil
	}
	var all []json.RawMessage
	if err := json.Unmarshal(manifests, &all); err != nil {
		return nil, nil, err
	}
	for _, raw := range all {
		var d ocispec.Descriptor
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, nil, err
		}
		if r, ok := recordOf(d); ok {
			records = append(records, r)
		} else {
			others = append(others, raw)
		}
	}
	return others, records, nil
}

// recordOf returns the record that the entry d of an index is, or false if another tool made it.
func recordOf(d ocispec.Descriptor) (Record, bool) {
	id := digest.Digest(d.Annotations[annotationID])
	if blob.Validate(id) != nil {
		return Record{}, false
	}
	r := Record{
		Image: id, RepoDigest: digest.Digest(d.Annotations[annotationRepoDigest]),
		Repository: d.Annotations[annotationRepository],
	}
	if name := d.Annotations[annotationName]; name != "" {
		ref, err := ParseReference(name)
		if err != nil {
			return Record{}, false
		}
		r.Ref = ref.WithDefaultTag()
	}
	// A time or a size that another tool spoiled is not worth losing the image for.
	r.Created, _ = time.Parse(time.RFC3339Nano, d.Annotations[annotationCreated])
	r.Size, _ = strconv.ParseInt(d.Annotations[annotationSize], 10, 64)
	for _, a := range []string{
		annotationName, annotationContainerd, annotationID, annotationCreated, annotationSize, annotationRepoDigest, annotationRepository,
	} {
		delete(d.Annotations, a)
	}
	if len(d.Annotations) == 0 {
		d.Annotations = nil
	}
	r.Manifest = d
	return r, true
}

// descriptor is the inverse of recordOf.
func (r Record) descriptor() ocispec.Descriptor {
	d := r.Manifest
	d.Annotations = map[string]string{
		annotationID:      r.Image.String(),
		annotationCreated: r.Created.UTC().Format(time.RFC3339Nano),
		annotationSize:    strconv.FormatInt(r.Size, 10),
	}
	maps.Copy(d.Annotations, r.Manifest.Annotations)
	for annotation, value := range map[string]string{
		annotationName: r.Ref.String(), annotationContainerd: r.Ref.String(),
		annotationRepoDigest: r.RepoDigest.String(), annotationRepository: r.Repository,
	} {
		if value != "" {
			d.Annotations[annotation] = value
		} else {
			delete(d.Annotations, annotation)
		}
	}
	return d
}
