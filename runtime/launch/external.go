package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/launch/console"
	"github.com/lrun-dev/lrun/runtime/launch/process"
	"github.com/lrun-dev/lrun/runtime/launch/program"
	"github.com/lrun-dev/lrun/runtime/launch/reach"
)

// StartExternal is Start by another OCI runtime (runc, crun, a path), which keeps its state below
// state. The root is attached at r.AttachAt/rootfs and the bundle's config.json lies beside it, until
// DeleteExternal.
func StartExternal(ctx context.Context, r Request, runtime, id, state string) (p *Process, err error) {
	if err := program.Find(runtime); err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err) // the container's process must become our child
	}
	streams, err := openStreams(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, streams.closeContainerEnds()) }()
	b := &bundle{request: r, runtime: runtime, id: id, state: state, streams: streams}
	pid, err := b.start(ctx)
	if err != nil {
		return nil, errors.Join(err, streams.closeHostEnds(), DeleteExternal(context.WithoutCancel(ctx), runtime, id, state, r.AttachAt))
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open process %d: %w", pid, err), streams.closeHostEnds())
	}
	first := process.New(pid, pidfd)
	go first.Reap()
	return streams.process(first), nil
}

type bundle struct {
	request            Request
	runtime, id, state string
	streams            *streams
}

func (b *bundle) start(ctx context.Context) (int, error) {
	if err := b.write(); err != nil {
		return 0, err
	}
	pidFile := filepath.Join(b.request.AttachAt, "pid")
	args := []string{"--bundle", b.request.AttachAt, "--pid-file", pidFile}
	var terminal *console.Socket
	if b.request.Spec.Process.Terminal {
		var err error
		if terminal, err = console.Listen(b.request.AttachAt); err != nil {
			return 0, err
		}
		defer terminal.Close()
		args = append(args, "--console-socket", terminal.Path)
	}
	if err := b.command(ctx, "create", append(args, b.id)...); err != nil {
		return 0, err
	}
	if terminal != nil {
		var err error
		if b.streams.console, err = terminal.Receive(); err != nil {
			return 0, err
		}
	}
	content, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, fmt.Errorf("%s create: it ended well but told no process id; is it an OCI runtime?: %w", b.runtime, err)
	}
	pid, err := strconv.Atoi(string(content))
	if err != nil {
		return 0, fmt.Errorf("read pid file of %s: %w", b.runtime, err)
	}
	if b.request.Network != nil {
		if err := b.request.Network(pid); err != nil {
			return 0, err
		}
	}
	return pid, b.command(ctx, "start", b.id)
}

// write makes the bundle: config.json and the mounted root.
func (b *bundle) write() error {
	rootfs := filepath.Join(b.request.AttachAt, "rootfs")
	if err := os.MkdirAll(rootfs, 0o700); err != nil {
		return err
	}
	if err := mount.Attach(b.request.Root, rootfs); err != nil {
		return err
	}
	config := *b.request.Spec
	config.Version = program.SpecVersion
	root := *config.Root
	root.Path, config.Root = rootfs, &root
	if err := b.reach(&config); err != nil {
		return err
	}
	content, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.request.AttachAt, "config.json"), content, 0o600)
}

// reach puts what config refers to where the runtime finds it, the container's root among those who do.
func (b *bundle) reach(config *specs.Spec) error {
	r := b.request
	if err := reach.Attach(config, r.AttachAt, r.Owners); err != nil || r.Owners == nil {
		return err
	}
	if err := reach.AttachDevices(config, r.AttachAt, r.UserNS); err != nil {
		return err
	}
	if err := reach.Open(r.AttachAt, *r.Owners); err != nil {
		return err
	}
	if err := b.streams.end(); err != nil {
		return err
	}
	return b.streams.own(r) // runc can do that only where the host's root is the container's
}

// command runs the runtime; what it says when it fails is the error, and for a program that cannot be executed an
// ExecError, which has no other mark than its words.
func (b *bundle) command(ctx context.Context, verb string, args ...string) (err error) {
	log := filepath.Join(b.request.AttachAt, "log.json")
	c := exec.Command(b.runtime, append([]string{"--root", b.state, "--log", log, "--log-format", "json", verb}, args...)...)
	// A file, not a pipe: the container's first process may keep it open.
	said, err := os.OpenFile(filepath.Join(b.request.AttachAt, "said"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, said.Close()) }()
	c.Stdin, c.Stdout, c.Stderr = said, said, said // see streams.end
	if verb == "create" && !b.request.Spec.Process.Terminal {
		c.Stdin, c.Stdout, c.Stderr = nil, b.streams.container[1], b.streams.container[2]
		if stdin := b.streams.container[0]; stdin != nil {
			c.Stdin = stdin
		}
	}
	if err = program.Run(c, program.Patience, ctx.Done()); err == nil {
		return nil
	}
	return b.explain(verb, err, log)
}

func (b *bundle) explain(verb string, err error, log string) error {
	message := program.LastError(log)
	if message == "" {
		said, readErr := os.ReadFile(filepath.Join(b.request.AttachAt, "said"))
		err = errors.Join(err, readErr)
		message = strings.TrimSpace(string(said))
	}
	words := strings.ToLower(message)
	for _, known := range []struct {
		text  string
		errno unix.Errno
	}{
		{"executable file not found", unix.ENOENT},
		{"no such file or directory", unix.ENOENT},
		{"permission denied", unix.EACCES},
		{"open executable: operation not permitted", unix.EACCES}, // crun of a directory
		{"is a directory", unix.EACCES},
		{"exec format error", unix.ENOEXEC},
	} {
		if strings.Contains(words, "exec") && strings.Contains(words, known.text) {
			return &ExecError{Program: b.request.Spec.Process.Args[0], Reason: message, Errno: known.errno}
		}
	}
	return fmt.Errorf("%s %s: %w: %s%s", b.runtime, verb, err, message, program.Advice(message))
}

// DeleteExternal removes what StartExternal made: the runtime's state, the mount, the bundle. What is
// gone already is no error.
func DeleteExternal(ctx context.Context, runtime, id, state, dir string) error {
	if _, err := os.Lstat(filepath.Join(state, id)); err == nil {
		var out bytes.Buffer
		c := exec.Command(runtime, "--root", state, "delete", "--force", id)
		c.Stdout, c.Stderr = &out, &out
		if err := program.Run(c, program.Patience, nil); err != nil {
			return fmt.Errorf("%s delete %s: %w: %s", runtime, id, err, bytes.TrimSpace(out.Bytes()))
		}
	}
	rootfs := filepath.Join(dir, "rootfs")
	if err := mount.Unmount(rootfs); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	errs := []error{reach.Detach(dir)}
	// A runtime that was not waited for may have made its mount points after the root had gone.
	errs = append(errs, tree.Remove(ctx, rootfs))
	entries, err := os.ReadDir(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, e := range entries {
		if !e.IsDir() { // also what a runtime that was killed has left; where something is mounted it stays
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
