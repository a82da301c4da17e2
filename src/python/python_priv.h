/* The rooms of the recorder's half. */
#ifndef PMF_PYTHON_PRIV_H
#define PMF_PYTHON_PRIV_H

#include "pmuflame/python.h"

/* ---- python_process.c ---- */

/* The descriptor of @p's memory, which stays its own. */
int pmf_python_process_memory(const struct pmf_python_process *p);

/* ---- python_codes.c ---- */

/* A string as an interpreter keeps it: its characters have @width bytes each (PEP 393). */
struct pmf_python_text {
	uint32_t chars, width;
	const uint8_t *bytes;
};
/* How many bytes @t has; SIZE_MAX if that makes no sense. */
size_t pmf_python_text_bytes(const struct pmf_python_text *t);

struct pmf_python_told {
	uint32_t first_line;
	struct pmf_python_text name, file; /* whose bytes make sense */
	const uint8_t *lines;
	size_t line_bytes;
};

/* Code object @number, unless it was told before or too much was told. */
void pmf_python_codes_add(
	struct pmf_python_codes *codes, uint32_t number, const struct pmf_python_told *told);
/* The number of the code object that is told under @key; UINT32_MAX if there is none and none is to be
 * made, or there is no room. */
uint32_t pmf_python_codes_number(struct pmf_python_codes *codes, uint64_t key, bool make);

/* ---- Generated from bpf_walk.c ---- */

extern const unsigned char pmf_bpf_program[];
extern const size_t pmf_bpf_program_bytes;

const char *pmf_python_server_agent(const struct pmf_python_server *s);
/* What PMF_AGENT_ENV has for an agent at @agent_path that greets at @socket_path, NULL for where all
 * do; free(3) it. */
char *pmf_python_server_value(
	const struct pmf_python_server *s, const char *socket_path, const char *agent_path);
/* Listen at the file @name in the folder @dir_fd, too. Its user may connect. */
int pmf_python_server_listen_in(
	struct pmf_python_server *s, int dir_fd, const char *name, struct pmf_err *err);

#endif
