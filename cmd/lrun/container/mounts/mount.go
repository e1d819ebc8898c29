package mounts

import (
	"encoding/csv"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/volume"
)

// parseMount reads the value of --mount: key=value pairs as one line of CSV (RFC 4180).
func parseMount(v string) (spec.Mount, error) {
	fields, err := csv.NewReader(strings.NewReader(v)).Read()
	if err != nil {
		return spec.Mount{}, invalid("give key=value pairs with commas between them: %v", err)
	}
	p := words{mount: spec.Mount{Type: "volume"}}
	for _, field := range fields {
		key, value, has := strings.Cut(field, "=")
		if strings.TrimSpace(key) != key {
			return p.mount, invalid("%q: there must be no space around a key", field)
		}
		if err := p.set(strings.ToLower(key), value, has); err != nil {
			return p.mount, err
		}
	}
	return p.mount, p.check()
}

// words collects what one --mount says.
type words struct {
	mount  spec.Mount
	source string
	mixed  []string // keys that belong to one type
}

// set carries out one key. A switch may be given without a value.
func (p *words) set(key, value string, has bool) error {
	m := &p.mount
	if kind, _, own := strings.Cut(key, "-"); own {
		p.mixed = append(p.mixed, key)
		switch kind {
		case "bind":
			return p.setBind(key, value, has)
		case "tmpfs":
			return p.setTmpfs(key, value)
		case "volume":
			return p.setVolume(key, value, has)
		}
	}
	if key == "readonly" || key == "ro" {
		return flag(&m.ReadOnly, key, value, has)
	}
	if !has || value == "" {
		return invalid("%q: give key=value", key)
	}
	switch key {
	case "type":
		m.Type = strings.ToLower(value)
	case "source", "src":
		p.source = value
	case "target", "dst", "destination":
		m.Target = value
	case "consistency":
		// What is bound is the same directory, so each of them is kept.
		if !slices.Contains([]string{"default", "consistent", "cached", "delegated"}, value) {
			return invalid("consistency=%s: it is consistent, cached or delegated", value)
		}
	default:
		return invalid("there is no key %q", key)
	}
	return nil
}

func (p *words) setBind(key, value string, has bool) error {
	m := &p.mount
	switch key {
	case "bind-propagation":
		m.Propagation = strings.ToLower(value)
		if !slices.Contains([]string{"private", "rprivate", "shared", "rshared", "slave", "rslave"}, m.Propagation) {
			return invalid("bind-propagation=%s: it is [r]private, [r]shared or [r]slave", value)
		}
	case "bind-nonrecursive":
		var not bool
		err := flag(&not, key, value, has)
		if not {
			m.Recursive = spec.RecursiveDisabled
		}
		return err
	case "bind-recursive":
		modes := map[string]string{
			"enabled": "", "disabled": spec.RecursiveDisabled, "writable": spec.RecursiveWritable, "readonly": spec.RecursiveReadOnly,
		}
		mode, ok := modes[value]
		if !ok {
			return invalid("bind-recursive=%s: it is enabled, disabled, writable or readonly", value)
		}
		m.Recursive = mode
	case "bind-create-src":
		return flag(&m.New.MakeSource, key, value, has)
	default:
		return invalid("there is no key %q", key)
	}
	return nil
}

func (p *words) setTmpfs(key, value string) error {
	switch key {
	case "tmpfs-size":
		size, err := units.RAMInBytes(value)
		if err != nil || size < 0 {
			return invalid("tmpfs-size=%s: give a number with a unit b, k, m or g", value)
		}
		if size > 0 {
			p.mount.Options = append(p.mount.Options, "size="+strconv.FormatInt(size, 10))
		}
	case "tmpfs-mode":
		mode, err := strconv.ParseUint(value, 8, 32)
		if err != nil || mode > 0o7777 {
			return invalid("tmpfs-mode=%s: give an octal mode, such as 1777", value)
		}
		p.mount.Options = append(p.mount.Options, "mode="+strconv.FormatUint(mode, 8))
	default:
		return invalid("there is no key %q", key)
	}
	return nil
}

func (p *words) setVolume(key, value string, has bool) error {
	m := &p.mount
	pair := func(to *map[string]string) error {
		name, v, _ := strings.Cut(value, "=")
		if name == "" {
			return invalid("%s=%s: give %s=NAME=VALUE", key, value, key)
		}
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[name] = v
		return nil
	}
	switch key {
	case "volume-nocopy":
		return flag(&m.NoCopy, key, value, has)
	case "volume-subpath":
		m.Subpath = value
		if !filepath.IsLocal(value) {
			return invalid("volume-subpath=%s: give a path inside the volume, without '..'", value)
		}
	case "volume-label":
		return pair(&m.New.Labels)
	case "volume-opt":
		return pair(&m.New.Options)
	case "volume-driver":
		if value != "local" && value != "" {
			return unsupported("volume-driver=%s: there are no drivers but local; mount it on the host and use type=bind", value)
		}
	default:
		return invalid("there is no key %q", key)
	}
	return nil
}

// check looks at all the words together.
func (p *words) check() error {
	m := &p.mount
	if m.Target == "" {
		return invalid("give target=DST")
	}
	for _, key := range p.mixed {
		if !strings.HasPrefix(key, m.Type+"-") {
			return invalid("%s is not for type=%s", key, m.Type)
		}
	}
	switch m.Type {
	case "bind":
		return p.checkBind()
	case "volume":
		return p.checkVolume()
	case "tmpfs":
		if p.source != "" {
			return invalid("a tmpfs has no source")
		}
		if m.ReadOnly {
			m.Options = append(m.Options, "ro")
		}
		return nil
	case "image":
		return unsupported("type=image: export the image once (lrun create, lrun export, tar -x) and use type=bind,readonly")
	case "cluster", "npipe":
		return unsupported("type=%s: it is for clusters or Windows; use type=volume or type=bind", m.Type)
	}
	return invalid("type=%s: it is bind, volume or tmpfs", m.Type)
}

func (p *words) checkBind() error {
	m := &p.mount
	switch {
	case p.source == "":
		return invalid("give source=SRC, a path of the host")
	case strings.HasPrefix(p.source, "."):
		var err error
		if p.source, err = filepath.Abs(p.source); err != nil {
			return err
		}
	case !filepath.IsAbs(p.source):
		return invalid("source=%s: give an absolute path of the host, or ./%[1]s", p.source)
	}
	m.Source = filepath.Clean(p.source)
	if (m.Recursive == spec.RecursiveWritable || m.Recursive == spec.RecursiveReadOnly) && !m.ReadOnly {
		return invalid("bind-recursive=%s needs readonly", m.Recursive)
	}
	if m.Recursive == spec.RecursiveReadOnly && m.Propagation != "rprivate" {
		return invalid("bind-recursive=readonly needs bind-propagation=rprivate, or what is mounted later could be written to")
	}
	if m.New.MakeSource {
		return nil
	}
	return sourceExists(m.Source)
}

func (p *words) checkVolume() error {
	m := &p.mount
	m.Name, m.Anonymous = p.source, p.source == ""
	switch {
	case m.Anonymous && m.ReadOnly:
		return invalid("a fresh volume cannot be read-only; give it a source=NAME")
	case m.Anonymous && m.Subpath != "":
		return invalid("volume-subpath needs a volume with a source=NAME")
	case !m.Anonymous:
		if err := volume.CheckName(m.Name); err != nil {
			return err
		}
	}
	return volume.CheckOptions(m.New.Options)
}

// flag reads a switch: alone it is on.
func flag(to *bool, key, value string, has bool) error {
	switch {
	case !has || value == "true" || value == "1":
		*to = true
	case value == "false" || value == "0":
		*to = false
	default:
		return invalid("%s=%s: it is true or false", key, value)
	}
	return nil
}
