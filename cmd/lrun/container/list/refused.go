package list

// Refused are flags that Docker's ps has and lrun's has not, with what to do instead.
func Refused() map[string]string {
	const size = "'lrun system df -v' shows what each container takes"
	return map[string]string{"size": size, "s": size}
}
