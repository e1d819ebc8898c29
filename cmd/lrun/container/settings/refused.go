package settings

// Refused are flags that Docker's run and create have and lrun has not, with what to do instead.
func Refused() map[string]string {
	const (
		foreground = "containers run in the foreground; use the shell's '&' or a service of your init system"
		networks   = "there is no network but none, host and container:NAME yet; use --network host"
		realTime   = "real-time scheduling is not shared out; give weights with --cpu-shares, or time with --cpu-quota"
		health     = "health checks are not run"
		windows    = "it is for Windows"
		noPull     = "there are no registries yet; use 'skopeo copy docker://IMAGE oci-archive:FILE' and 'lrun load -i FILE'"
		oneHost    = "it is for container clusters"
	)
	return map[string]string{
		"detach": foreground, "d": foreground, "restart": foreground, "detach-keys": foreground, "attach": foreground, "a": foreground,
		"log-driver": foreground, "log-opt": foreground,
		"sig-proxy": "signals are always forwarded",
		"publish":   networks, "p": networks, "publish-all": networks, "P": networks, "expose": networks, "ip": networks, "ip6": networks,
		"mac-address": networks, "network-alias": networks, "net-alias": networks, "link-local-ip": networks,
		"cpu-rt-period": realTime, "cpu-rt-runtime": realTime, "cpu-count": windows, "cpu-percent": windows, "io-maxbandwidth": windows,
		"io-maxiops": windows, "kernel-memory": "kernels no longer limit it apart; --memory counts it too",
		"cgroup-parent": "the cgroup of every container is /lrun/ID, where all of lrun finds it after a crash; give each its limits",
		"isolation":     windows,
		"link":          "containers cannot reach each other yet; let both share the host's network with --network host, and name the other with --add-host",
		"gpus":          "devices of graphics cards are not found by themselves; give them with --device, and bind the driver's files with -v",
		"health-cmd":    health, "health-interval": health, "health-retries": health, "health-start-interval": health,
		"health-start-period": health, "health-timeout": health, "no-healthcheck": health,
		"volume-driver": "volumes are directories of this machine; mount what is elsewhere on the host, and use -v DIR:DST",
		"pull":          noPull, "disable-content-trust": noPull, "quiet": noPull, "q": noPull,
		"use-api-socket": "there is no daemon, and so no socket of one; bind that of another tool with -v",
	}
}

// RefusedOfStart is the same of start.
func RefusedOfStart() map[string]string {
	const noCheckpoint = "there are no checkpoints; a container starts from the beginning"
	return map[string]string{
		"checkpoint": noCheckpoint, "checkpoint-dir": noCheckpoint,
		"detach-keys": "lrun start stays in the foreground",
	}
}

// RefusedOfRemove is the same of rm.
func RefusedOfRemove() map[string]string {
	const link = "there are no links between containers"
	return map[string]string{"link": link, "l": link}
}
