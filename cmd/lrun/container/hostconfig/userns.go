package hostconfig

import "github.com/lrun-dev/lrun/runtime/spec"

// Users is what HostConfig says of the user namespace.
type Users struct {
	UsernsMode string
	IDMappings *idMappings `json:",omitempty"` // as podman shows it
}

type idMappings struct {
	UIDMap []string `json:"UidMap"`
	GIDMap []string `json:"GidMap"`
}

// UsersOf returns what the settings say of the user namespace.
func UsersOf(s spec.Settings) Users {
	u := s.UserNS
	if !u.Own() {
		return Users{UsernsMode: "host"}
	}
	mode := "private"
	if u.Auto {
		mode = "auto"
	}
	return Users{mode, &idMappings{words(u.UIDs), words(u.GIDs)}}
}

func words(ranges []spec.IDRange) []string {
	var list []string
	for _, r := range ranges {
		list = append(list, r.String())
	}
	return list
}
