/* The container that this program runs in, and how its engine is told to permit more. */
#ifndef PMF_ENGINE_H
#define PMF_ENGINE_H

#include <stdbool.h>

enum pmf_engine {
	PMF_ENGINE_NONE, /* no container, as far as one can see */
	PMF_ENGINE_DOCKER,
	PMF_ENGINE_PODMAN,
	PMF_ENGINE_KUBERNETES,
	PMF_ENGINE_OTHER,
};

/* By the marks that engines leave inside: files, and variables of the environment. */
enum pmf_engine pmf_engine_here(void);

/* What starts a container with the capability @cap ("PERFMON", or NULL) and, with @any_call, without a filter of
 * system calls, a line for each way; of an engine that is not known, all ways. free(3) it. */
char *pmf_engine_grant(enum pmf_engine engine, const char *cap, bool any_call);
/* The same for seeing the machine's processes. */
char *pmf_engine_show_processes(enum pmf_engine engine);

#endif
