package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// UserNamespace says which ids of the host those of the container are. The zero value is the host's own user namespace.
type UserNamespace struct {
	// Auto says that the ids are a range of the pool, which the container has for itself until it is removed.
	Auto bool      `json:"auto,omitempty"`
	UIDs []IDRange `json:"uids,omitempty"`
	GIDs []IDRange `json:"gids,omitempty"`
}

// IDRange says that Size ids from Container on are, on the host, those from Host on.
type IDRange struct {
	Container uint32 `json:"container"`
	Host      uint32 `json:"host"`
	Size      uint32 `json:"size"`
}

// String is the form of --userns: CONTAINER:HOST:SIZE.
func (r IDRange) String() string { return fmt.Sprintf("%d:%d:%d", r.Container, r.Host, r.Size) }

// SameIDs is a user namespace with the same ranges for users and for groups.
func SameIDs(ranges ...IDRange) UserNamespace {
	return UserNamespace{UIDs: ranges, GIDs: slices.Clone(ranges)}
}

// maxMap is what the kernel takes of a map (user_namespaces(7)): less than a page of text.
const maxMap = 4096

// ParseIDs reads CONTAINER:HOST:SIZE[,…]. What the kernel would refuse, a map without the container's root, and one in
// which an id of the container is the host's root, are errdefs.ErrInvalidArgument.
func ParseIDs(s string) ([]IDRange, error) {
	var list []IDRange
	length := 0
	for part := range strings.SplitSeq(s, ",") {
		r, err := parseRange(part)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
		length += len(r.String()) + 1
	}
	invalid := func(why string) error { return fmt.Errorf("%s: %w", why, errdefs.ErrInvalidArgument) }
	container := func(r IDRange) uint32 { return r.Container }
	host := func(r IDRange) uint32 { return r.Host }
	switch _, root := hostID(list, 0); {
	case length >= maxMap:
		return nil, invalid("the kernel takes no more than a page of ranges")
	case overlap(list, container):
		return nil, invalid("two ranges have the same id of the container")
	case overlap(list, host):
		return nil, invalid("two ranges have the same id of the host")
	case !root:
		return nil, invalid("the container's root (0) is in no range")
	}
	return list, nil
}

func parseRange(s string) (IDRange, error) {
	var n [3]uint32
	parts := strings.Split(s, ":")
	valid := len(parts) == len(n)
	for i := 0; valid && i < len(n); i++ {
		v, err := strconv.ParseUint(parts[i], 10, 32)
		n[i], valid = uint32(v), err == nil
	}
	r := IDRange{n[0], n[1], n[2]}
	const ids = 1<<32 - 1 // the last number stands for no id
	switch {
	case !valid || r.Size == 0 || uint64(r.Container)+uint64(r.Size) > ids || uint64(r.Host)+uint64(r.Size) > ids:
		return r, fmt.Errorf("range %q: give CONTAINER:HOST:SIZE, such as 0:100000:65536: %w", s, errdefs.ErrInvalidArgument)
	case r.Host == 0:
		return r, fmt.Errorf("range %q: the host's root (0) would be a user of the container: %w", s, errdefs.ErrInvalidArgument)
	}
	return r, nil
}

// overlap tells whether two ranges share a number on the side that start gives.
func overlap(list []IDRange, start func(IDRange) uint32) bool {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b IDRange) int { return cmp.Compare(start(a), start(b)) })
	for i := 1; i < len(sorted); i++ {
		if uint64(start(sorted[i-1]))+uint64(sorted[i-1].Size) > uint64(start(sorted[i])) {
			return true
		}
	}
	return false
}

// Own tells whether the container has a user namespace of its own.
func (u UserNamespace) Own() bool { return len(u.UIDs) > 0 }

// HostUID returns the host's number of a user of the container, and whether it has one.
func (u UserNamespace) HostUID(id uint32) (uint32, bool) { return hostID(u.UIDs, id) }

// HostGID returns the host's number of a group of the container, and whether it has one.
func (u UserNamespace) HostGID(id uint32) (uint32, bool) { return hostID(u.GIDs, id) }

// Root returns the ids that the container's root has on the host.
func (u UserNamespace) Root() (uid, gid int) {
	hostUID, _ := u.HostUID(0)
	hostGID, _ := u.HostGID(0)
	return int(hostUID), int(hostGID)
}

func hostID(list []IDRange, id uint32) (uint32, bool) {
	if len(list) == 0 {
		return id, true
	}
	for _, r := range list {
		if id >= r.Container && id-r.Container < r.Size {
			return r.Host + (id - r.Container), true
		}
	}
	return 0, false
}

// check refuses an identity that the map does not hold: the kernel would only say "invalid argument".
func (u UserNamespace) check(who Identity) error {
	unmapped := func(what string, id uint32) error {
		return fmt.Errorf("%s %d is in no range of the container's user namespace; give a --userns that has it: %w", what, id, errdefs.ErrInvalidArgument)
	}
	if _, ok := u.HostUID(who.UID); !ok {
		return unmapped("user", who.UID)
	}
	for _, g := range append([]uint32{who.GID}, who.Groups...) {
		if _, ok := u.HostGID(g); !ok {
			return unmapped("group", g)
		}
	}
	return nil
}

// mappings are ranges in a configuration's form.
func mappings(list []IDRange) []specs.LinuxIDMapping {
	var all []specs.LinuxIDMapping
	for _, r := range list {
		all = append(all, specs.LinuxIDMapping{ContainerID: r.Container, HostID: r.Host, Size: r.Size})
	}
	return all
}
