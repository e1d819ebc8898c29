package main

// refused says what to do instead of what people know from Docker and this version does not have. What the table
// of commands has must not be here.
func refused() map[string]string {
	const (
		oneHost  = "lrun works on one machine; use an orchestrator above it"
		noDaemon = "there is no daemon and nothing to keep in contact with; lrun works where it is called"
		noTrust  = "check signatures with cosign or skopeo before 'lrun load'"
	)
	words := map[string]string{
		"attach":        "use 'lrun run -it' in the foreground",
		"build":         "build with buildah or docker, save to an archive and use 'lrun load'",
		"builder":       "build with buildah or docker, save to an archive and use 'lrun load'",
		"buildx":        "build with buildah or docker, save to an archive and use 'lrun load'",
		"checkpoint":    "stop the container and start it again",
		"compose":       "start each container with 'lrun run'",
		"config":        oneHost,
		"context":       noDaemon,
		"cp":            "share a directory with 'lrun run -v', or use 'lrun export CONTAINER | tar -x'",
		"events":        noDaemon,
		"exec":          "start another container with 'lrun run', or use nsenter with the pid of 'lrun inspect'",
		"login":         "use 'skopeo login' with 'skopeo copy', and 'lrun load'",
		"logout":        "use 'skopeo logout'",
		"logs":          "run in the foreground and redirect the output",
		"manifest":      "use 'skopeo inspect --raw' or 'buildah manifest'",
		"network":       "containers use --network host or none",
		"node":          oneHost,
		"pause":         "there is no way to freeze a container yet",
		"plugin":        "there are no plugins",
		"port":          "ports are not published yet; use --network host",
		"pull":          "use 'skopeo copy docker://NAME oci-archive:FILE' and 'lrun load -i FILE'",
		"push":          "keep the archive that was loaded, and use 'skopeo copy'",
		"rename":        "names are given by 'lrun run --name'",
		"restart":       "stop the container and use 'lrun start'",
		"search":        "search the registry's web page",
		"secret":        oneHost,
		"service":       oneHost,
		"stack":         oneHost,
		"stats":         "read the container's cgroup beneath /sys/fs/cgroup",
		"swarm":         oneHost,
		"top":           "use ps with the pid of 'lrun inspect'",
		"trust":         noTrust,
		"unpause":       "there is no way to freeze a container yet",
		"update":        "remove the container and run it again with other limits",
		"volume update": oneHost,
		"wait":          "run in the foreground; lrun run returns the exit code",
	}
	return words
}

// refusedFlags says the same of Docker's global flags.
func refusedFlags() map[string]string {
	const (
		noDaemon = "there is no daemon to connect to"
	)
	return map[string]string{
		"host": noDaemon, "H": noDaemon, "context": noDaemon, "c": noDaemon,
		"tls": noDaemon, "tlscacert": noDaemon, "tlscert": noDaemon, "tlskey": noDaemon, "tlsverify": noDaemon,
		"log-level": "use --debug", "l": "use --debug",
	}
}
