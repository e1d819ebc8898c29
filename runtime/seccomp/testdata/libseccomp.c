// Reads a profile from standard input, a line for each thing, and writes the program that libseccomp makes of it, for
// libseccomp_test.go:
//
//	default ACTION
//	arch NAME                            in order; the first decides nothing
//	rule ACTION CALL [INDEX OP A B]...
//
// ACTION, OP, A and B are numbers, as in seccomp.h. A call that libseccomp does not know is named on standard error.
#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int rc, const char *what)
{
	if (rc < 0) {
		fprintf(stderr, "error: %s: %s\n", what, strerror(-rc));
		exit(1);
	}
}

static void rule(scmp_filter_ctx ctx, char *text)
{
	struct scmp_arg_cmp args[6];
	unsigned n = 0;
	char *action = strtok(text, " "), *name = strtok(NULL, " "), *word;
	int nr = seccomp_syscall_resolve_name(name);

	if (nr == __NR_SCMP_ERROR) {
		fprintf(stderr, "%s\n", name);
		return;
	}
	while ((word = strtok(NULL, " ")) != NULL) {
		args[n].arg = (unsigned)atoi(word);
		args[n].op = (enum scmp_compare)atoi(strtok(NULL, " "));
		args[n].datum_a = strtoull(strtok(NULL, " "), NULL, 10);
		args[n].datum_b = strtoull(strtok(NULL, " "), NULL, 10);
		n++;
	}
	check(seccomp_rule_add_array(ctx, (uint32_t)strtoul(action, NULL, 10), nr, n, args), name);
}

int main(void)
{
	static char line[4096];
	scmp_filter_ctx ctx = NULL;
	uint32_t native = seccomp_arch_native();
	int keep = 0, first = 1;

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "default ", 8) == 0) {
			ctx = seccomp_init((uint32_t)strtoul(line + 8, NULL, 10));
		} else if (strncmp(line, "arch ", 5) == 0) {
			uint32_t token = seccomp_arch_resolve_name(line + 5);
			if (token == native)
				keep = 1;
			else
				check(seccomp_arch_add(ctx, token), line);
		} else if (strncmp(line, "rule ", 5) == 0) {
			if (first && !keep) // after the others, for a filter without any is none
				check(seccomp_arch_remove(ctx, native), "remove the own architecture");
			first = 0;
			rule(ctx, line + 5);
		}
	}
	check(seccomp_export_bpf(ctx, 1), "export");
	return 0;
}
