package spec

// Names are how a container finds names, beside its own host name: they fill its /etc/hosts and /etc/resolv.conf.
type Names struct {
	Hosts   []string `json:"hosts,omitempty"`   // lines of /etc/hosts after lrun's own, "address<tab>name"
	Servers []string `json:"servers,omitempty"` // addresses of resolvers in place of the host's
	Search  []string `json:"search,omitempty"`  // domains in place of the host's; a single "." is none
	Options []string `json:"options,omitempty"` // options in place of the host's
	Domain  string   `json:"domain,omitempty"`  // NIS domain name, and the domain of the host's name in /etc/hosts
}
