package spec

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Candidates are the files that may be the program: a name without a slash is looked up in PATH.
func Candidates(process *specs.Process) []string {
	name := process.Args[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	path, _ := LookupEnv(process.Env, "PATH")
	var list []string
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		list = append(list, strings.TrimSuffix(dir, "/")+"/"+name)
	}
	return list
}
