package image

// Flags that Docker's commands about images have and lrun's have not, with what to do instead.

func refusedOfImages() map[string]string {
	return map[string]string{"tree": "each image is for one platform; 'lrun inspect' shows its layers"}
}

func refusedOfHistory() map[string]string {
	return map[string]string{"platform": onePlatform}
}

func refusedOfRemove() map[string]string {
	return map[string]string{
		"platform": onePlatform,
		"no-prune": "layers that no other image or container needs always go; keep them with 'lrun tag IMAGE OTHER' before",
	}
}

const onePlatform = "each image is for one platform, the one that it was loaded with"
