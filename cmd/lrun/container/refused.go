package container

// Flags that Docker's commands about containers have and lrun's have not, with what to do instead. Those of other
// commands are beside those.

func refusedOfStart() map[string]string {
	const noCheckpoint = "there are no checkpoints; a container starts from the beginning"
	return map[string]string{
		"checkpoint": noCheckpoint, "checkpoint-dir": noCheckpoint,
		"detach-keys": "lrun start stays in the foreground",
	}
}

func refusedOfRemove() map[string]string {
	const link = "there are no links between containers"
	return map[string]string{"link": link, "l": link}
}
