package seccomp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func names(p *specs.LinuxSeccomp) []string {
	var list []string
	for _, call := range p.Syscalls {
		list = append(list, call.Names...)
	}
	return list
}

func TestLoad(t *testing.T) {
	for name, c := range map[string]struct {
		profile string
		want    []string
		err     string
		class   error
	}{
		"oci":              {`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}`, []string{"mkdir"}, "", nil},
		"docker's old way": {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"mkdir","action":"SCMP_ACT_ERRNO","comment":"x"}]}`, []string{"mkdir"}, "", nil},
		"conditions": {`{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":null,"archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],"syscalls":[
			{"names":["a1"],"action":"SCMP_ACT_ERRNO","includes":{"caps":["CAP_CHOWN"]}},
			{"names":["a2"],"action":"SCMP_ACT_ERRNO","includes":{"caps":["CAP_BPF"]}},
			{"names":["a3"],"action":"SCMP_ACT_ERRNO","excludes":{"caps":["CAP_CHOWN"]}},
			{"names":["a4"],"action":"SCMP_ACT_ERRNO","includes":{"minKernel":"4.8"}},
			{"names":["a5"],"action":"SCMP_ACT_ERRNO","includes":{"minKernel":"255.0"}},
			{"names":["a6"],"action":"SCMP_ACT_ERRNO","includes":{"arches":["s390x"]}}]}`, []string{"a1", "a4"}, "", nil},
		"flags": {`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}`, nil, "", nil},

		"podman's errors": {`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"ENOSYS","syscalls":[
			{"names":["a1"],"action":"SCMP_ACT_ERRNO","errno":"EINVAL"},
			{"names":["a2"],"action":"SCMP_ACT_ERRNO","errnoRet":1,"errno":"EPERM","includes":{"minKernel":"4.8"}},
			{"names":["a3"],"action":"SCMP_ACT_ALLOW","errno":"","excludes":{"minKernel":"4.8"}}]}`, []string{"a1", "a2"}, "", nil},

		"unknown errno":     {`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"ENOTHING"}`, nil, `defaultErrno: no error is called "ENOTHING"`, errdefs.ErrInvalidArgument},
		"errno contradicts": {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","errnoRet":2,"errno":"EPERM"}]}`, nil, "rule 0: errno: EPERM is 1, and the errnoRet beside it 2", errdefs.ErrInvalidArgument},
		"empty":             {``, nil, "EOF", errdefs.ErrInvalidArgument},
		"no object":         {`[]`, nil, "array", errdefs.ErrInvalidArgument},
		"nothing in it":     {`{}`, nil, "seccomp=unconfined", errdefs.ErrInvalidArgument},
		"unknown field":     {`{"defaultAction":"SCMP_ACT_ALLOW","sysCallz":[]}`, nil, "sysCallz", errdefs.ErrInvalidArgument},
		"unknown condition": {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","includes":{"maxKernel":"1.2"}}]}`, nil, "maxKernel", errdefs.ErrInvalidArgument},
		"a second value":    {`{"defaultAction":"SCMP_ACT_ALLOW"} {}`, nil, "follows", errdefs.ErrInvalidArgument},
		"null rule":         {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[null]}`, nil, "rule 0 is null", errdefs.ErrInvalidArgument},
		"rule for nothing":  {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_ERRNO"}]}`, nil, "names no system call", errdefs.ErrInvalidArgument},
		"name and names":    {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_ERRNO"}]}`, nil, "'name' and 'names'", errdefs.ErrInvalidArgument},
		"both architecture": {`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}`, nil, "archMap", errdefs.ErrInvalidArgument},
		"kernel":            {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","includes":{"minKernel":"x"}}]}`, nil, "kernel version", errdefs.ErrInvalidArgument},
		"unknown action":    {`{"defaultAction":"SCMP_ACT_PLEASE"}`, nil, "SCMP_ACT_PLEASE", errdefs.ErrInvalidArgument},
		"unknown operator":  {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"op":"X"}]}]}`, nil, `"X"`, errdefs.ErrInvalidArgument},
		"argument":          {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}`, nil, "above 5", errdefs.ErrInvalidArgument},
		"errno":             {`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":5000}`, nil, "5000", errdefs.ErrInvalidArgument},
		"unknown flag":      {`{"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]}`, nil, `"X"`, errdefs.ErrInvalidArgument},
		"too large":         {strings.Repeat(" ", MaxProfile+1), nil, "more than", errdefs.ErrInvalidArgument},
		"notify":            {`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}`, nil, "SCMP_ACT_NOTIFY", errdefs.ErrNotImplemented},
		"listener":          {`{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/x"}`, nil, "listener", errdefs.ErrNotImplemented},
		"listener's flag":   {`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}`, nil, "WAIT_KILLABLE", errdefs.ErrNotImplemented},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Load([]byte(c.profile), []string{"CAP_CHOWN"})
			if c.class != nil {
				if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %v with %q", err, c.class, c.err)
				}
				return
			}
			if err != nil || !slices.Equal(names(p), c.want) {
				t.Errorf("got %v, %v; want %v", p, err, c.want)
			}
		})
	}
}

// The names of errors that Podman's profiles have mean what the numbers do.
func TestErrnoByName(t *testing.T) {
	p, err := Load([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"ENOSYS","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO","errno":"EINVAL"}]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.DefaultErrnoRet == nil || *p.DefaultErrnoRet != uint(unix.ENOSYS) || p.Syscalls[0].ErrnoRet == nil || *p.Syscalls[0].ErrnoRet != uint(unix.EINVAL) {
		t.Errorf("default %v, rule %v", p.DefaultErrnoRet, p.Syscalls[0].ErrnoRet)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO","errnoRet":1,"args":[{"index":1,"value":2,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}]}]}`))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],"syscalls":[{"name":"a","action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_BPF"],"minKernel":"4.8"},"excludes":{"arches":["amd64"]}},null]}`))
	f.Fuzz(func(t *testing.T, profile []byte) {
		p, err := Load(profile, []string{"CAP_CHOWN"})
		if err == nil && p == nil {
			t.Error("no profile and no error: there would be no filter")
		}
	})
}
