package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// caller runs lrun many times, by a process of its own: the kernel counts the memory of whoever starts a program as that
// program's, so the starter has to be a small one, which a test that holds hundreds of archives is not.
type caller struct {
	calls   *json.Encoder
	answers *json.Decoder
}

// answer is what became of a call.
type answer struct {
	Code     int
	Out, Err string
	Peak     int64 // KiB of memory
}

// newCaller starts the process, which ends with the test.
func newCaller(t *testing.T, env []string) *caller {
	t.Helper()
	c := exec.Command("calls")
	c.Env, c.Stderr = env, os.Stderr
	in, err := c.StdinPipe()
	out, err2 := c.StdoutPipe()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), c.Wait()); err != nil {
			t.Error(err)
		}
	})
	return &caller{json.NewEncoder(in), json.NewDecoder(out)}
}

// call runs lrun with arguments.
func (c *caller) call(args ...string) (a answer, err error) {
	if err := c.calls.Encode(args); err != nil {
		return a, err
	}
	return a, c.answers.Decode(&a)
}

// callsMain is calls: for each list of arguments on standard input, in JSON, it runs lrun and writes the answer.
func callsMain() {
	calls, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var args []string
		err := calls.Decode(&args)
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = answers.Encode(callOnce(args))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "calls:", err)
			os.Exit(1)
		}
	}
}

func callOnce(args []string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), testutil.Patience(commandLimit))
	defer cancel()
	var out, messages bytes.Buffer
	c := exec.CommandContext(ctx, "lrun", args...)
	c.Stdout, c.Stderr, c.WaitDelay = &out, &messages, time.Second
	if err := c.Run(); err != nil && (c.ProcessState == nil || ctx.Err() != nil) {
		return answer{Code: -1, Err: err.Error()}
	}
	usage := c.ProcessState.SysUsage().(*syscall.Rusage)
	return answer{c.ProcessState.ExitCode(), strings.ToValidUTF8(out.String(), "?"), strings.ToValidUTF8(messages.String(), "?"), usage.Maxrss}
}
