/* What runtimes that generate code are told, so that they tell the names of it: Node.js by NODE_OPTIONS, which
 * children of npm and of shells have, too. It then writes /tmp/perf-PID.map, which is removed again. */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The names of functions, line by line as they are compiled; and a native frame of its own for each
 * interpreted one. */
static const char node_switches[] = "--perf-basic-prof --interpreted-frames-native-stack";
static const char node_options[] = "NODE_OPTIONS=";

/* Has somebody decided already? V8 takes underscores for dashes, "no-" in front and more behind; a
 * folder called perf-profiles decides nothing. */
static bool mentions_perf(const char *options)
{
	static const char *const words[] = {
		"-perf-basic-prof", "-perf_basic_prof", "-perf-prof", "-perf_prof"};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(words); i++)
		for (const char *at = options; at && (at = strstr(at, words[i])); at++)
			if (!isalnum((unsigned char)at[strlen(words[i])]))
				return true;
	return false;
}

void pmf_runtimes_init(struct pmf_runtimes *rt, char *const *argv, char *const *env)
{
	const size_t len = sizeof node_options - 1;
	const char *there = NULL;
	bool decided;
	size_t n = 0;

	memset(rt, 0, sizeof *rt);
	for (; env[n]; n++)
		if (strncmp(env[n], node_options, len) == 0)
			there = env[n] + len;
	decided = mentions_perf(there);
	for (size_t i = 0; argv[i]; i++)
		decided |= mentions_perf(argv[i]);
	rt->env = pmf_calloc(n + 2, sizeof *rt->env);
	n = 0;
	for (size_t i = 0; env[i]; i++)
		if (decided || strncmp(env[i], node_options, len) != 0)
			rt->env[n++] = env[i];
	if (!decided)
		rt->env[n] = rt->node = pmf_asprintf("%s%s%s%s", node_options, there ? there : "",
			there && *there ? " " : "", node_switches);
}

void pmf_runtimes_release(struct pmf_runtimes *rt)
{
	free(rt->env);
	free(rt->node);
	memset(rt, 0, sizeof *rt);
}

void pmf_runtimes_note(const struct pmf_runtimes *rt, struct pmf_profile *p, bool saw_node)
{
	if (saw_node && rt->node)
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"Node.js was run with NODE_OPTIONS='%s', for the names of its functions "
			"(--jit off leaves that out)",
			rt->node + sizeof node_options - 1);
}
