// Package change alters the config of an image by Dockerfile instructions, one at a time, without a
// Dockerfile: the --change flags of import and commit.
package change

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// Apply changes c by instructions, in order: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER,
// VOLUME and WORKDIR in the syntax of a Dockerfile. Variables in them are those of c.Env at that point;
// CMD and ENTRYPOINT leave them to the shell. HEALTHCHECK and ONBUILD are errdefs.ErrNotImplemented, other
// and malformed instructions errdefs.ErrInvalidArgument; after an error c may be changed in part.
func Apply(c *ocispec.ImageConfig, instructions []string) error {
	for _, i := range instructions {
		if err := apply(c, strings.TrimSpace(i)); err != nil {
			if !errors.Is(err, errdefs.ErrNotImplemented) {
				err = fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
			}
			return fmt.Errorf("apply change %q: %w", i, err)
		}
	}
	return nil
}

// known are the instructions that Apply applies.
const known = "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR"

func apply(c *ocispec.ImageConfig, instruction string) error {
	if strings.ContainsAny(instruction, "\n\x00") {
		return errors.New("a change is one instruction on one line")
	}
	end := strings.IndexAny(instruction, " \t")
	if end < 0 {
		end = len(instruction)
	}
	name, rest := strings.ToUpper(instruction[:end]), strings.TrimSpace(instruction[end:])
	if rest == "" && slices.Contains(strings.Split(known, ", "), name) {
		return fmt.Errorf("%s needs an argument", name)
	}
	return applyNamed(c, name, rest)
}

// applyNamed changes c by the instruction name with the arguments rest.
func applyNamed(c *ocispec.ImageConfig, name, rest string) (err error) {
	switch name {
	case "CMD":
		c.Cmd, err = command(rest)
	case "ENTRYPOINT":
		c.Entrypoint, err = command(rest)
	case "ENV":
		err = setEnv(c, rest)
	case "EXPOSE":
		err = expose(c, rest)
	case "LABEL":
		err = setLabels(c, rest)
	case "STOPSIGNAL":
		c.StopSignal, err = stopSignal(rest, c.Env)
	case "USER":
		c.User, err = nonEmpty(rest, c.Env)
	case "VOLUME":
		err = addVolumes(c, rest)
	case "WORKDIR":
		err = changeDir(c, rest)
	case "HEALTHCHECK":
		err = fmt.Errorf("HEALTHCHECK is not supported, because lrun has no daemon that would run the checks: %w", errdefs.ErrNotImplemented)
	case "ONBUILD":
		err = fmt.Errorf("ONBUILD is not supported: write the instructions into the Dockerfile of the image above: %w", errdefs.ErrNotImplemented)
	default:
		err = fmt.Errorf("%q is no instruction that changes a config; there are %s", name, known)
	}
	return err
}

// command parses the arguments of CMD and ENTRYPOINT: a JSON list, or else a line for the shell.
func command(rest string) ([]string, error) {
	list, ok, err := jsonList(rest)
	if ok || err != nil {
		return list, err
	}
	return []string{"/bin/sh", "-c", rest}, nil
}

// jsonList parses s if it is a JSON list. As in Docker what only looks like one is not, except that the
// elements of one must be strings.
func jsonList(s string) ([]string, bool, error) {
	if !strings.HasPrefix(s, "[") || !json.Valid([]byte(s)) {
		return nil, false, nil
	}
	var elements []any
	if err := json.Unmarshal([]byte(s), &elements); err != nil {
		return nil, false, err
	}
	list := make([]string, 0, len(elements))
	for _, e := range elements {
		text, ok := e.(string)
		if !ok {
			return nil, false, errors.New("only strings are allowed in a JSON list")
		}
		list = append(list, text)
	}
	return list, true, nil
}

func setEnv(c *ocispec.ImageConfig, rest string) error {
	pairs, err := parsePairs(rest, c.Env)
	for _, p := range pairs {
		same := func(e string) bool { return strings.HasPrefix(e, p.name+"=") }
		if i := slices.IndexFunc(c.Env, same); i >= 0 {
			c.Env[i] = p.name + "=" + p.value
		} else {
			c.Env = append(c.Env, p.name+"="+p.value)
		}
	}
	return err
}

func setLabels(c *ocispec.ImageConfig, rest string) error {
	pairs, err := parsePairs(rest, c.Env)
	for _, p := range pairs {
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		c.Labels[p.name] = p.value
	}
	return err
}

func nonEmpty(rest string, env []string) (string, error) {
	value, err := expand(rest, env)
	if err == nil && value == "" {
		err = errors.New("the value is empty")
	}
	return value, err
}

func changeDir(c *ocispec.ImageConfig, rest string) error {
	dir, err := nonEmpty(rest, c.Env)
	if err != nil {
		return err
	}
	if !path.IsAbs(dir) {
		dir = path.Join("/", c.WorkingDir, dir)
	}
	c.WorkingDir = path.Clean(dir)
	return nil
}

func addVolumes(c *ocispec.ImageConfig, rest string) error {
	list, ok, err := jsonList(rest)
	if err != nil {
		return err
	}
	if !ok {
		list = strings.Fields(rest)
	}
	volumes := maps.Clone(c.Volumes)
	for _, v := range list {
		if v, err = nonEmpty(v, c.Env); err != nil {
			return err
		}
		if volumes == nil {
			volumes = map[string]struct{}{}
		}
		volumes[v] = struct{}{}
	}
	c.Volumes = volumes
	return nil
}

// expose adds ports: PORT[-PORT][/PROTOCOL] each.
func expose(c *ocispec.ImageConfig, rest string) error {
	expanded, err := expand(rest, c.Env)
	if err != nil {
		return err
	}
	ports := maps.Clone(c.ExposedPorts)
	if ports == nil {
		ports = map[string]struct{}{}
	}
	for word := range strings.FieldsSeq(expanded) {
		numbers, protocol, given := strings.Cut(word, "/")
		if protocol = strings.ToLower(protocol); !given {
			protocol = "tcp"
		}
		if !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
			return fmt.Errorf("port %q: the protocol is not tcp, udp or sctp", word)
		}
		first, last, ranged := strings.Cut(numbers, "-")
		if !ranged {
			last = first
		}
		from, fromErr := strconv.ParseUint(first, 10, 16)
		to, toErr := strconv.ParseUint(last, 10, 16)
		if fromErr != nil || toErr != nil || from > to {
			return fmt.Errorf("port %q is not of the form PORT[-PORT][/PROTOCOL]", word)
		}
		for p := from; p <= to; p++ {
			ports[strconv.FormatUint(p, 10)+"/"+protocol] = struct{}{}
		}
	}
	c.ExposedPorts = ports
	return nil
}

// stopSignal checks a signal: a number, a name with or without SIG, or RTMIN+N, RTMAX-N.
func stopSignal(rest string, env []string) (string, error) {
	signal, err := nonEmpty(rest, env)
	if err != nil {
		return "", err
	}
	if n, err := strconv.Atoi(signal); err == nil && n > 0 && n <= 64 {
		return signal, nil
	}
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(signal), "SIG")
	if unix.SignalNum(name) == 0 && !isRealTime(name, "SIGRTMIN", "+", 15) && !isRealTime(name, "SIGRTMAX", "-", 14) {
		return "", fmt.Errorf("there is no signal %q", signal)
	}
	return signal, nil
}

// isRealTime reports whether name is base, or base, sign and a number of at most limit.
func isRealTime(name, base, sign string, limit int) bool {
	number, ok := strings.CutPrefix(name, base+sign)
	if !ok {
		return name == base
	}
	n, err := strconv.ParseUint(number, 10, 8)
	return err == nil && n >= 1 && int(n) <= limit
}
