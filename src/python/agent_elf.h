/* May a program be started with the agent preloaded? Asked by the recorder for the command and by the
 * agent for what it executes. */
#ifndef PMF_AGENT_ELF_H
#define PMF_AGENT_ELF_H

#include <stdbool.h>

/* Is @path (or the interpreter that a script names) a program of this machine's own kind, started by
 * glibc's loader, readable, without extra rights, and not built with a sanitizer whose runtime has
 * to come first? All others print errors or break under LD_PRELOAD. Async-signal-safe, does not
 * allocate. */
bool pmf_agent_may_preload(const char *path);

#endif
