package resolve

import (
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestResolvFile(t *testing.T) {
	const stub = "# stub\nnameserver 127.0.0.53\noptions edns0\nsearch example.org\n"
	for name, c := range map[string]struct {
		host  string
		names spec.Names
		hosts bool // the host's network
		want  string
	}{
		"as the host's":             {"nameserver 192.0.2.1\nsearch a\n", spec.Names{}, false, "nameserver 192.0.2.1\nsearch a\n"},
		"a loopback address":        {"nameserver 127.0.0.1\r\nnameserver 192.0.2.1\n", spec.Names{}, false, "nameserver 192.0.2.1\n"},
		"in every form":             {"nameserver ::1\nnameserver ::ffff:127.0.0.1\nnameserver 192.0.2.1\n", spec.Names{}, false, "nameserver 192.0.2.1\n"},
		"nothing else":              {stub, spec.Names{}, false, "# stub\noptions edns0\nsearch example.org\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n"},
		"no file":                   {"", spec.Names{}, false, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"},
		"no file, host's network":   {"", spec.Names{}, true, ""},
		"host's network":            {stub, spec.Names{}, true, stub},
		"own server":                {stub, spec.Names{Servers: []string{"127.0.0.9"}}, false, "# stub\noptions edns0\nsearch example.org\nnameserver 127.0.0.9\n"},
		"own server, host network":  {stub, spec.Names{Servers: []string{"192.0.2.9"}}, true, "# stub\noptions edns0\nsearch example.org\nnameserver 192.0.2.9\n"},
		"own search":                {"domain x\nnameserver 192.0.2.1\n", spec.Names{Search: []string{"a", "b"}}, false, "nameserver 192.0.2.1\nsearch a b\n"},
		"no search":                 {"search x\nnameserver 192.0.2.1\n", spec.Names{Search: []string{"."}}, false, "nameserver 192.0.2.1\n"},
		"own options":               {"options x\nnameserver 192.0.2.1\n", spec.Names{Options: []string{"ndots:2"}}, false, "nameserver 192.0.2.1\noptions ndots:2\n"},
		"a comment is no directive": {"#nameserver 127.0.0.1\n;nameserver 127.0.0.1\nnameserver 192.0.2.1\n", spec.Names{}, false, "#nameserver 127.0.0.1\n;nameserver 127.0.0.1\nnameserver 192.0.2.1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := resolvFile(c.host, c.names, c.hosts); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	s := spec.Settings{Hostname: "box", Names: spec.Names{Hosts: []string{"192.0.2.1\tdb"}, Domain: "example.org"}}
	if got := Hosts(s); !strings.HasPrefix(got, "127.0.0.1\tlocalhost\n") || !strings.HasSuffix(got, "127.0.0.1\tbox.example.org box\n192.0.2.1\tdb\n") {
		t.Errorf("own network: %q", got)
	}
	s.HostNetwork = true
	if got := Hosts(s); !strings.HasSuffix(got, "\n192.0.2.1\tdb\n") || strings.Contains(got, "box.example.org") {
		t.Errorf("host's network: %q", got)
	}
}

func FuzzResolvFile(f *testing.F) {
	f.Add("nameserver 127.0.0.53\noptions a\n", "ndots:1")
	f.Add("nameserver\n nameserver ::1\nnameserver fe80::1%eth0", "")
	f.Fuzz(func(t *testing.T, host, option string) {
		n := spec.Names{}
		if option != "" {
			n.Options = []string{"o"}
		}
		got := resolvFile(host, n, false)
		servers := nameservers(got)
		if len(servers) == 0 {
			t.Errorf("no server in %q", got)
		}
		for _, s := range servers {
			if isLoopback(s) {
				t.Errorf("%q keeps %s", got, s)
			}
		}
	})
}
