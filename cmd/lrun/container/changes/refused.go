package changes

// RefusedOfCommit are flags that Docker's commit has and lrun's has not, with what to do instead.
func RefusedOfCommit() map[string]string {
	return map[string]string{"no-pause": "use --pause=false"}
}
