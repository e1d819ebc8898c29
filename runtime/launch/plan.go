package launch

import (
	"encoding/binary"
	"os"
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/apparmor"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/launch/failure"
	"github.com/lrun-dev/lrun/runtime/launch/self"
	"github.com/lrun-dev/lrun/runtime/reaper"
	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// planner turns a configuration into steps and the descriptors that they use.
type planner struct {
	request Request
	begun   Begun
	child   *Child        // nil until cgroup has waited for it
	group   *cgroup.Group // the child's
	streams *streams
	steps   []stage.Step
	files   []*os.File // sent to the child, in this order
	owned   []*os.File // those of files that plan opened
	frozen  []int      // indices of mounts that become read-only when all below them is made
	waiting []waiting
}

// waiting plans steps by what is still being made when the plan is begun.
type waiting struct {
	at   int // the number of steps before them
	plan func() error
}

func (p *planner) close() {
	for _, f := range p.owned {
		_ = f.Close()
	}
}

// file registers a descriptor and returns its index.
func (p *planner) file(f *os.File) int {
	p.files = append(p.files, f)
	return len(p.files) - 1
}

// own is file for what plan itself opened.
func (p *planner) own(f *os.File) int {
	p.owned = append(p.owned, f)
	return p.file(f)
}

func (p *planner) add(s stage.Step) { p.steps = append(p.steps, s) }

// do adds a step that uses no descriptor.
func (p *planner) do(s stage.Step) {
	s.FD = -1
	p.add(s)
}

// later leaves a place for the steps that plan adds once all others are planned.
func (p *planner) later(plan func() error) {
	p.waiting = append(p.waiting, waiting{len(p.steps), plan})
}

// settle plans what was left for later.
func (p *planner) settle() error {
	others, done := p.steps, 0
	var all []stage.Step
	for _, w := range p.waiting {
		all = append(all, others[done:w.at]...)
		done, p.steps = w.at, nil
		if err := w.plan(); err != nil {
			return err
		}
		all = append(all, p.steps...)
	}
	p.steps = append(all, others[done:]...)
	return nil
}

func (p *planner) plan() error {
	p.later(p.join)
	p.appArmor(true)
	p.label()
	p.cgroupNamespace()
	p.lateNamespaces()
	p.add(stage.Step{Op: stage.OpRoot, FD: p.root()})
	if err := p.mounts(); err != nil {
		return err
	}
	if err := p.devices(); err != nil {
		return err
	}
	p.namespaces()
	if err := p.sysctls(); err != nil {
		return err
	}
	p.confine()
	p.do(stage.Step{Op: stage.OpPivot})
	if err := p.streams.plan(p); err != nil {
		return err
	}
	if err := p.credentials(); err != nil {
		return err
	}
	if err := p.exec(); err != nil {
		return err
	}
	return p.settle()
}

// cgroup returns the container's cgroup, which may still be being made when the plan is begun, or nil.
func (p *planner) cgroup() (group *cgroup.Group, err error) {
	if p.child == nil {
		p.child, p.group, err = p.begun.Child()
	}
	return p.group, err
}

// join makes the child enter its cgroup.
func (p *planner) join() error {
	group, err := p.cgroup()
	if err != nil || group == nil {
		return err
	}
	files, err := group.JoinFiles()
	if err != nil {
		return err
	}
	for _, f := range files {
		p.add(stage.Step{Op: stage.OpJoin, FD: p.own(f), Path: f.Name()})
	}
	return nil
}

// cgroupNamespace makes the child's cgroup namespace when it is in its group, which becomes the namespace's root.
func (p *planner) cgroupNamespace() {
	for _, ns := range p.request.Spec.Linux.Namespaces {
		if ns.Type == specs.CgroupNamespace {
			p.do(stage.Step{Op: stage.OpUnshare, Flags: unix.CLONE_NEWCGROUP})
		}
	}
}

// namespaces sets up those that are new; one that is joined belongs to another container.
func (p *planner) namespaces() {
	for _, ns := range p.request.Spec.Linux.Namespaces {
		if ns.Type == specs.UTSNamespace && p.request.Spec.Domainname != "" {
			p.do(stage.Step{Op: stage.OpDomain, Path: p.request.Spec.Domainname})
		}
		switch {
		case ns.Path != "":
		case ns.Type == specs.UTSNamespace && p.request.Spec.Hostname != "":
			p.do(stage.Step{Op: stage.OpHostname, Path: p.request.Spec.Hostname})
		case ns.Type == specs.NetworkNamespace:
			p.do(stage.Step{Op: stage.OpLoopback})
		}
	}
}

// confine is the last that changes the container's tree: what is covered, what is read-only.
func (p *planner) confine() {
	c := p.request.Spec
	for _, path := range c.Linux.ReadonlyPaths {
		p.do(stage.Step{Op: stage.OpReadOnly, Path: path})
	}
	for _, path := range c.Linux.MaskedPaths {
		p.do(stage.Step{Op: stage.OpMask, Path: path})
	}
	p.do(stage.Step{Op: stage.OpMkdir, Path: c.Process.Cwd})
	for _, index := range p.frozen {
		p.add(stage.Step{Op: stage.OpReadOnlyMount, FD: index})
	}
}

// root registers the container's root.
func (p *planner) root() int {
	index := p.file(p.request.Root)
	if p.request.Spec.Root.Readonly {
		p.frozen = append(p.frozen, index)
	}
	return index
}

func (p *planner) limits() error {
	for _, l := range p.request.Spec.Process.Rlimits {
		number, ok := spec.RlimitNumber(l.Type)
		if !ok {
			return unsupported("the resource limit %s", l.Type)
		}
		p.do(stage.Step{Op: stage.OpLimit, Path: l.Type, Flags: number, Blob: stage.Numbers(l.Soft, l.Hard)})
	}
	return nil
}

// credentials follows the order that each step's own need of privilege dictates: a filter without
// no_new_privs needs CAP_SYS_ADMIN, bounding needs CAP_SETPCAP, the user change CAP_SETUID. Limits need CAP_SYS_RESOURCE,
// and come late, because they hold for the stage too.
func (p *planner) credentials() error {
	process := p.request.Spec.Process
	late := process.NoNewPrivileges || p.request.OwnFilter
	if !late {
		p.later(p.seccomp)
	}
	var caps specs.LinuxCapabilities
	if process.Capabilities != nil {
		caps = *process.Capabilities
	}
	p.do(stage.Step{Op: stage.OpBounding, Flags: spec.Mask(caps.Bounding)})
	p.do(stage.Step{Op: stage.OpChdir, Path: process.Cwd})
	p.appArmor(false) // before there is a limit of open files
	if err := p.limits(); err != nil {
		return err
	}
	var groups []byte
	for _, g := range process.User.AdditionalGids {
		groups = binary.NativeEndian.AppendUint32(groups, g)
	}
	p.do(stage.Step{Op: stage.OpUser, Flags: uint64(process.User.UID), Attr: uint64(process.User.GID), Blob: groups})
	if process.NoNewPrivileges || !late {
		p.capabilities(caps)
	} else { // what loading the filter needs comes off after it
		p.capabilities(withAdmin(caps))
	}
	if process.NoNewPrivileges {
		p.do(stage.Step{Op: stage.OpNoNewPrivileges})
	}
	if p.request.DieWithParent {
		p.do(stage.Step{Op: stage.OpDeathSignal, Flags: uint64(unix.SIGKILL)})
	}
	if late {
		p.do(stage.Step{Op: stage.OpSeal})
		p.later(p.seccomp)
	}
	if late && !process.NoNewPrivileges {
		p.capabilities(caps)
	}
	return nil
}

func (p *planner) capabilities(caps specs.LinuxCapabilities) {
	p.do(stage.Step{Op: stage.OpCapabilities, Blob: stage.Numbers(
		spec.Mask(caps.Effective), spec.Mask(caps.Permitted), spec.Mask(caps.Inheritable), spec.Mask(caps.Ambient))})
}

func withAdmin(caps specs.LinuxCapabilities) specs.LinuxCapabilities {
	caps.Effective = append([]string{"CAP_SYS_ADMIN"}, caps.Effective...)
	caps.Permitted = append([]string{"CAP_SYS_ADMIN"}, caps.Permitted...)
	return caps
}

// appArmor makes the program start with its profile, by the host's procfs. When a profile changes at exec the kernel forgets that
// the process is to die with lrun (apparmor_bprm_committing_creds). So a profile that is known to allow all that follows is taken
// before; one of the user's own, which may not, at exec.
func (p *planner) appArmor(early bool) {
	profile := p.request.Spec.Process.ApparmorProfile
	known := profile == apparmor.Default || profile == apparmor.Docker
	if profile == "" || early == known {
		return
	}
	verb, file := "exec ", "exec"
	if known {
		verb, file = "changeprofile ", "current"
	}
	p.do(stage.Step{
		Op: stage.OpAttribute, Path: profile, Blob: []byte(verb + profile),
		Data: []string{"/proc/thread-self/attr/apparmor/" + file, "/proc/thread-self/attr/" + file},
	})
}

// label makes the program start with its SELinux context.
func (p *planner) label() {
	if label := p.request.Spec.Process.SelinuxLabel; label != "" {
		p.do(stage.Step{Op: stage.OpAttribute, Path: label, Blob: []byte(label), Data: []string{failure.Label}})
	}
}

func (p *planner) seccomp() error {
	filter, err := p.begun.Filter()
	if len(filter.Program) > 0 {
		p.do(stage.Step{Op: stage.OpSeccomp, Blob: filter.Program, Flags: uint64(filter.Flags)})
	}
	return err
}

func (p *planner) exec() error {
	process := p.request.Spec.Process
	if !p.request.Init {
		p.do(stage.Step{Op: stage.OpExec, Data: process.Args, Env: process.Env, Blob: stage.Strings(spec.Candidates(process))})
		return nil
	}
	exe, err := self.Executable()
	if err != nil {
		return err
	}
	args := append([]string{reaper.Name, "--"}, process.Args...)
	p.add(stage.Step{Op: stage.OpExec, FD: p.own(exe), Data: args, Env: process.Env})
	return nil
}

// send writes the plan to a memfd: it holds the environment, which no socket buffer bounds.
func (p *planner) send(socket *os.File) error {
	fd, err := unix.MemfdCreate("plan", unix.MFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	plan := os.NewFile(uintptr(fd), "plan")
	defer plan.Close()
	if _, err := plan.Write(stage.Encode(nil, p.steps)); err != nil {
		return err
	}
	numbers := make([]int, len(p.files))
	for i, f := range p.files {
		numbers[i] = int(f.Fd())
	}
	err = stage.Send(int(socket.Fd()), fd, numbers)
	runtime.KeepAlive(p.files)
	return err
}
