// Package spec turns the settings of a container into an OCI runtime configuration.
//
// New is the only place where that happens: the built-in runtime and an external one (runc) execute
// the same configuration, so that each is the other's test.
package spec

import (
	"maps"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Settings are what the user and the image ask of a container. They are stored with it, so they hold
// nothing that depends on the moment of a start.
type Settings struct {
	Args       []string `json:"args"`
	Env        []string `json:"env,omitempty"`
	Cwd        string   `json:"cwd,omitempty"`
	User       string   `json:"user,omitempty"` // name, uid, name:group or uid:gid; empty: root
	Hostname   string   `json:"hostname,omitempty"`
	StopSignal string   `json:"stopSignal,omitempty"`
	// StopTimeout is how many seconds a stop waits before it kills; -1: for ever; nil: Docker's 10.
	StopTimeout *int `json:"stopTimeout,omitempty"`

	Terminal   bool `json:"terminal,omitempty"`
	Init       bool `json:"init,omitempty"`
	ReadOnly   bool `json:"readOnly,omitempty"`
	Privileged bool `json:"privileged,omitempty"`

	CapAdd  []string          `json:"capAdd,omitempty"`
	CapDrop []string          `json:"capDrop,omitempty"`
	Mounts  []Mount           `json:"mounts,omitempty"` // attached in this order, after the default ones
	Limits  Limits            `json:"limits,omitzero"`
	Tuning  Tuning            `json:"tuning,omitzero"`
	Devices Devices           `json:"devices,omitzero"`
	Sysctls map[string]string `json:"sysctls,omitempty"` // each of SysctlPath
	// HostNetwork shares the host's network namespace.
	HostNetwork bool    `json:"hostNetwork,omitempty"`
	Sharing     Sharing `json:"sharing,omitzero"`
	// Security changes the confinement of the container's programs.
	Security Security `json:"security,omitzero"`
	// Names are those that the container finds beside its own.
	Names Names `json:"names,omitzero"`
	// ShmSize is that of /dev/shm in bytes; 0: Docker's 64 MiB.
	ShmSize int64 `json:"shmSize,omitempty"`

	// UserNS is whose ids the container's are.
	UserNS UserNamespace `json:"userNS,omitzero"`

	Annotations map[string]string `json:"annotations,omitempty"`
}

// Identity is who the container's program runs as: the answer of the image's passwd and group files.
type Identity struct {
	UID, GID uint32
	Groups   []uint32
	Home     string
}

// Facts are what only the machine and the prepared root can tell, at the moment of a start.
type Facts struct {
	Identity   Identity
	Bounding   uint64 // capability mask that lrun itself may pass on
	CgroupPath string
	CgroupV2   bool   // no v1 hierarchy: the container gets a cgroup namespace of its own
	Joined     Joined // namespaces of other containers that Settings.Sharing names
	// SharedMemory is a directory of the host that becomes the container's /dev/shm; empty: it gets a tmpfs of its own.
	SharedMemory string
	Root         string // directory of the mounted root, for an external runtime
	Init         string // path of an init program on the host, bound at InitPath for an external runtime
	Devices      []specs.LinuxDevice
	Host         Host // of FindHost
	Seccomp      *specs.LinuxSeccomp
	AppArmor     string // the profile that the program starts with; empty: it is not changed
}

// InitPath is where the init program of --init appears in a container run by an external runtime.
const InitPath = "/dev/lrun-init"

// New makes the configuration. It fails with errdefs.ErrInvalidArgument on a capability that is not
// one, on a user whom the user namespace has not, on a terminal whose place a mount takes and on a tmpfs in /proc, and with
// errdefs.ErrFailedPrecondition on a capability that the user asked for and lrun itself lacks.
func New(s Settings, f Facts) (*specs.Spec, error) {
	kept, err := Capabilities(s, f.Bounding)
	if err == nil {
		err = checkTargets(s)
	}
	if err != nil {
		return nil, err
	}
	if err := s.UserNS.check(f.Identity); err != nil {
		return nil, err
	}
	c := &specs.Spec{
		Version:     specs.Version,
		Root:        &specs.Root{Path: f.Root, Readonly: s.ReadOnly},
		Hostname:    s.Hostname,
		Domainname:  s.Names.Domain,
		Process:     process(s, f, kept),
		Mounts:      mounts(s, f),
		Annotations: maps.Clone(s.Annotations),
		Linux: &specs.Linux{
			CgroupsPath:       f.CgroupPath,
			Namespaces:        Namespaces(s, f.CgroupV2, f.Joined),
			Resources:         Resources(s, f.Host),
			RootfsPropagation: rootPropagation(s.Mounts),
			Devices:           withDevices(f.Devices, f.Host.nodes),
			UIDMappings:       mappings(s.UserNS.UIDs),
			GIDMappings:       mappings(s.UserNS.GIDs),
		},
	}
	if err := checkSysctls(s.Sysctls, c.Linux.Namespaces); err != nil {
		return nil, err
	}
	c.Linux.Sysctl = sysctls(s, c.Linux.Namespaces)
	if s.Sharing.UTS == ModeHost {
		c.Hostname = "" // it is the host's, and not to be set
	}
	confine(c, s, f)
	return c, nil
}

func process(s Settings, f Facts, kept []string) *specs.Process {
	cwd := s.Cwd
	if cwd == "" {
		cwd = "/"
	}
	args := s.Args
	if f.Init != "" {
		args = append([]string{InitPath, "--"}, args...)
	}
	p := &specs.Process{
		Terminal: s.Terminal,
		User:     specs.User{UID: f.Identity.UID, GID: f.Identity.GID, AdditionalGids: f.Identity.Groups},
		Args:     args,
		Env:      environment(s, f.Identity.Home),
		Cwd:      cwd,
		Capabilities: &specs.LinuxCapabilities{
			Bounding: kept,
		},
	}
	// A program of another user than root gains nothing from permitted capabilities at its exec; like
	// Docker, none are inheritable or ambient (CVE-2022-24769).
	if f.Identity.UID == 0 {
		p.Capabilities.Effective, p.Capabilities.Permitted = kept, kept
	}
	s.Tuning.apply(p)
	return p
}
