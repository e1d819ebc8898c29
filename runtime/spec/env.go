package spec

import "strings"

// DefaultPath is Docker's, used where neither the image nor the user sets PATH.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment has Docker's order: PATH, HOSTNAME and TERM first, then what image and user set, HOME
// last unless it was set to something (runc, too, replaces an empty one). A name without "=" in s.Env removes the variable.
func environment(s Settings, home string) []string {
	env := []string{"PATH=" + DefaultPath}
	if s.Hostname != "" {
		env = append(env, "HOSTNAME="+s.Hostname)
	}
	if s.Terminal {
		env = append(env, "TERM=xterm")
	}
	env = MergeEnv(env, s.Env)
	if set, _ := LookupEnv(env, "HOME"); set == "" && home != "" {
		env = MergeEnv(env, []string{"HOME=" + home})
	}
	return env
}

// MergeEnv returns base with the entries of over: NAME=value replaces in place or is added at the
// end, NAME alone removes.
func MergeEnv(base, over []string) []string {
	merged := append([]string(nil), base...)
	for _, entry := range over {
		name, _, set := strings.Cut(entry, "=")
		at := indexEnv(merged, name)
		switch {
		case at >= 0 && set:
			merged[at] = entry
		case at >= 0:
			merged = append(merged[:at], merged[at+1:]...)
		case set:
			merged = append(merged, entry)
		}
	}
	return merged
}

// LookupEnv returns the value of name in an environment.
func LookupEnv(env []string, name string) (string, bool) {
	at := indexEnv(env, name)
	if at < 0 {
		return "", false
	}
	return env[at][len(name)+1:], true
}

func indexEnv(env []string, name string) int {
	for i, entry := range env {
		if strings.HasPrefix(entry, name) && len(entry) > len(name) && entry[len(name)] == '=' {
			return i
		}
	}
	return -1
}
