package spec

import (
	"cmp"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Mount is one that the user or the image asked for.
type Mount struct {
	Type     string   `json:"type"`              // bind, volume or tmpfs
	Name     string   `json:"name,omitempty"`    // of a volume
	Source   string   `json:"source,omitempty"`  // of bind and volume: an absolute path of the host
	Subpath  string   `json:"subpath,omitempty"` // of a volume: what is mounted of it
	Target   string   `json:"target"`
	Options  []string `json:"options,omitempty"` // of tmpfs: size=…, mode=…, flags
	ReadOnly bool     `json:"readOnly,omitempty"`
	// Recursive says what becomes of that which is mounted below Source; empty: it comes along, and is read-only when Source is.
	Recursive string `json:"recursive,omitempty"`
	// Propagation is that of mounts which are made later; empty: rprivate.
	Propagation string `json:"propagation,omitempty"`
	// Mode is what -v said after the second colon, for people.
	Mode string `json:"mode,omitempty"`
	// NoCopy leaves a volume without what the image has in its place.
	NoCopy bool `json:"noCopy,omitempty"`
	// Anonymous says that nobody gave the volume its name.
	Anonymous bool `json:"anonymous,omitempty"`
	// Shared says that it is another container's mount too (--volumes-from).
	Shared bool `json:"shared,omitempty"`

	// IDMap shows the owners of the files as the container's user namespace maps them: what is the host's root's is
	// the container's root's. Without such a namespace it means nothing.
	IDMap bool `json:"idmap,omitempty"`

	New NewMount `json:"-"`
}

// NewMount is what only the making of a container needs to know of a mount.
type NewMount struct {
	MakeSource      bool              // of a bind: a missing Source is made as a directory
	Labels, Options map[string]string // of a volume that is made
}

// The values of Mount.Recursive, Docker's bind-recursive.
const (
	RecursiveDisabled = "disabled" // nothing below comes along
	RecursiveWritable = "writable" // below it stays as it is, when Source is read-only
	RecursiveReadOnly = "readonly" // as by default; the user insists on it
)

// userMount turns a mount into the configuration's.
func userMount(m Mount, ids UserNamespace) specs.Mount {
	if m.Type == "tmpfs" {
		options := append([]string{"noexec", "nosuid", "nodev"}, m.Options...)
		return specs.Mount{Destination: m.Target, Type: "tmpfs", Source: "tmpfs", Options: options}
	}
	bind, access := "rbind", "rw"
	if m.Recursive == RecursiveDisabled {
		bind = "bind"
	}
	switch {
	case m.ReadOnly && (m.Recursive == RecursiveDisabled || m.Recursive == RecursiveWritable):
		access = "ro"
	case m.ReadOnly: // Docker's default since version 25
		access = "rro"
	}
	mount := specs.Mount{
		Destination: m.Target, Type: "bind", Source: m.Source, Options: []string{bind, cmp.Or(m.Propagation, "rprivate"), access},
	}
	if ids.Own() && m.IDMap {
		mount.Options = append(mount.Options, "idmap")
		mount.UIDMappings, mount.GIDMappings = mappings(ids.UIDs), mappings(ids.GIDs)
	}
	return mount
}

// rootPropagation is what the root's must be, as Docker sets it, for a runtime that binds by path in the container's own namespace.
func rootPropagation(list []Mount) string {
	has := func(modes ...string) bool {
		return slices.ContainsFunc(list, func(m Mount) bool { return slices.Contains(modes, m.Propagation) })
	}
	switch {
	case has("shared", "rshared"):
		return "shared"
	case has("slave", "rslave"):
		return "rslave"
	}
	return "private"
}
