package settings_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestNames(t *testing.T) {
	c, err := describe(t, plainImage(), "--add-host", "a:192.0.2.1", "--add-host", "b=2001:db8::1", "--add-host", "c:[::1]",
		"--dns", "192.0.2.53", "--dns-search", "example.org", "--dns-option", "ndots:2", "--dns-option", "edns0",
		"--domainname", "example.net", "--shm-size", "1m", "img")
	if err != nil {
		t.Fatal(err)
	}
	n := c.Settings.Names
	if want := []string{"192.0.2.1\ta", "2001:db8::1\tb", "::1\tc"}; !slices.Equal(n.Hosts, want) {
		t.Errorf("hosts %q", n.Hosts)
	}
	if !slices.Equal(n.Servers, []string{"192.0.2.53"}) || !slices.Equal(n.Search, []string{"example.org"}) ||
		!slices.Equal(n.Options, []string{"ndots:2", "edns0"}) || n.Domain != "example.net" {
		t.Errorf("names %+v", n)
	}
	if c.Settings.ShmSize != 1<<20 {
		t.Errorf("/dev/shm has %d bytes", c.Settings.ShmSize)
	}
	c, err = describe(t, plainImage(), "--network", "host", "--add-host", "h:host-gateway", "img")
	if err != nil || !slices.Equal(c.Settings.Names.Hosts, []string{"127.0.0.1\th"}) {
		t.Errorf("host-gateway: %q, %v", c.Settings.Names.Hosts, err)
	}
}

func TestNamesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		line  []string
		class error
		words string
	}{
		"no address":         {[]string{"--add-host", "a"}, errdefs.ErrInvalidArgument, "NAME:ADDRESS"},
		"no name":            {[]string{"--add-host", ":192.0.2.1"}, errdefs.ErrInvalidArgument, "NAME:ADDRESS"},
		"two names":          {[]string{"--add-host", "a b:192.0.2.1"}, errdefs.ErrInvalidArgument, "NAME:ADDRESS"},
		"a name for address": {[]string{"--add-host", "a:b"}, errdefs.ErrInvalidArgument, "no IP address"},
		"host-gateway":       {[]string{"--add-host", "a:host-gateway"}, errdefs.ErrNotImplemented, "--network host"},
		"a resolver's name":  {[]string{"--dns", "one.one"}, errdefs.ErrInvalidArgument, "IP address"},
		"two domains in one": {[]string{"--dns-search", "a b"}, errdefs.ErrInvalidArgument, "one domain"},
		"none and one":       {[]string{"--dns-search", ".", "--dns-search", "a"}, errdefs.ErrInvalidArgument, "beside"},
		"a second line":      {[]string{"--dns-option", "a\nnameserver 1.1.1.1"}, errdefs.ErrInvalidArgument, "one option"},
		"domain with space":  {[]string{"--domainname", "a b"}, errdefs.ErrInvalidArgument, "64"},
		"negative shm":       {[]string{"--shm-size", "-1"}, errdefs.ErrInvalidArgument, "--shm-size"},
		"shm of letters":     {[]string{"--shm-size", "big"}, errdefs.ErrInvalidArgument, "--shm-size"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := describe(t, plainImage(), append(c.line, "img")...)
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %v with %q", err, c.class, c.words)
			}
		})
	}
}

func FuzzAddHost(f *testing.F) {
	for _, s := range []string{"a:1.2.3.4", "a=::1", "a:[::1]", "a:host-gateway", "a#:1.1.1.1", "=", ":", "a:b:c", "a:1.1.1.1\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := describe(t, plainImage(), "--network=host", "--add-host="+s, "img")
		if err != nil {
			return
		}
		address, name, _ := strings.Cut(c.Settings.Names.Hosts[0], "\t")
		if _, err := netip.ParseAddr(address); err != nil || len(strings.Fields(name)) != 1 || strings.Contains(name, "#") {
			t.Errorf("%q becomes %q", s, c.Settings.Names.Hosts)
		}
	})
}
