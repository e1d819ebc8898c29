package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// Places that the scripts use. They are environment variables, for they are set once and read by every script.
const (
	binaryEnv = "LRUN_BINARY"       // the binary under test; built when it is not set
	driverEnv = "LRUN_TEST_DRIVER"  // the snapshot driver under test
	workEnv   = "LRUN_TEST_WORKDIR" // where the scripts' directories are
)

func TestMain(m *testing.M) {
	testscript.Main(prepared{m}, map[string]func(){
		"attack":  attackMain,
		"ptyrun":  ptyrunMain,
		"listing": listingMain,
		"worst":   worstMain,
		"killat":  killatMain,
		"powers":  powersMain,
		"calls":   callsMain,
	})
}

// prepared runs the tests with a binary to test and a place for the scripts.
type prepared struct{ m *testing.M }

// Run builds, makes room, runs the tests and takes everything away again.
func (p prepared) Run() int {
	if os.Getenv(testutil.RootEnv) != "1" {
		return p.m.Run()
	}
	cleanup, err := prepare()
	code := 1
	if err == nil {
		code = p.m.Run()
	}
	if err := errors.Join(err, cleanup()); err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	return code
}

// prepare makes a directory on a real file system, with the binary in bin and archives in images.
func prepare() (cleanup func() error, err error) {
	work, err := os.MkdirTemp("", "lrun-integration-")
	if err != nil {
		return func() error { return nil }, err
	}
	cleanup = func() error { return errors.Join(detachBelow(work), os.RemoveAll(work)) }
	if err := realFilesystem(work); err != nil {
		return cleanup, err
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return cleanup, err
	}
	for _, dir := range []string{"bin", "images", "w"} {
		if err := os.Mkdir(filepath.Join(work, dir), 0o755); err != nil {
			return cleanup, err
		}
	}
	return cleanup, errors.Join(
		os.Setenv(workEnv, work),
		os.Setenv("PATH", filepath.Join(work, "bin")+":"+os.Getenv("PATH")+":/usr/sbin:/sbin"),
		provideBinary(filepath.Join(work, "bin", "lrun")),
		provideWrapper(filepath.Join(work, "runc"), filepath.Join(work, "bin", "lrun"), "runc"),
		provideImages(filepath.Join(work, "images")),
	)
}

// realFilesystem mounts a tmpfs at dir if overlayfs could not be used on what is there.
func realFilesystem(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if st.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return nil
	}
	return unix.Mount("integration", dir, "tmpfs", 0, "mode=0755")
}

// provideWrapper makes a program lrun in dir that runs and creates containers with an external runtime.
func provideWrapper(dir, lrun, external string) error {
	script := fmt.Sprintf("#!/bin/bash\ncase ${1-} in run | create) exec %s \"$1\" --runtime %s \"${@:2}\" ;; esac\nexec %[1]s \"$@\"\n", lrun, external)
	return errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "lrun"), []byte(script), 0o755))
}

// provideBinary copies the binary under test, or builds it as scripts/build does.
func provideBinary(to string) error {
	if from := os.Getenv(binaryEnv); from != "" {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o755)
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-tags=urfave_cli_no_docs", "-trimpath", "-ldflags", "-s -w", "-o", to, "../cmd/lrun")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build lrun: %w\n%s", err, out)
	}
	return nil
}
