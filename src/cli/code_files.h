/* The text of source files that profiles name, for reports and annotations.
 *
 * What a profile names is what a program's debug information says, which anybody may have written, and
 * reports are shared: so only what looks like source code is read, and as root only what the user behind
 * sudo, or everybody, may read. */
#ifndef PMF_CODE_FILES_H
#define PMF_CODE_FILES_H

#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include "pmuflame/render.h"
#include <stdbool.h>
#include <stddef.h>

/* getopt_long(3)'s val of the options. */
enum { PMF_OPT_SOURCE = 1200, PMF_OPT_SOURCE_MAP };

/* clang-format off */
#define PMF_CODE_ARGS \
	{"source", required_argument, NULL, PMF_OPT_SOURCE}, \
	{"source-map", required_argument, NULL, PMF_OPT_SOURCE_MAP}
/* clang-format on */

#define PMF_CODE_ARGS_HELP \
	"      --source DIR|no         source files are below DIR, too; no: show none\n" \
	"      --source-map FROM=TO    source files recorded below FROM are below TO\n"

/* Where to look; zeroed memory is where they were recorded. */
struct pmf_code_args {
	bool none;
	const char *folder;
	const char **maps; /* "FROM=TO" */
	size_t nr_maps, cap_maps;
};

/* Take one of these options, with its @value. */
int pmf_code_arg(struct pmf_code_args *a, int opt, const char *value, struct pmf_err *err);
void pmf_code_args_release(struct pmf_code_args *a);

struct pmf_code_files;

/* Files for outputs of @p, which says when they were in use; @args is borrowed. Each is read when it is
 * asked for first, and kept. */
struct pmf_code_files *pmf_code_files_new(
	const struct pmf_code_args *args, const struct pmf_profile *p);
void pmf_code_files_free(struct pmf_code_files *s);
/* For struct pmf_code_reader: @sources is a struct pmf_code_files. */
const struct pmf_code_text *pmf_code_files_get(void *sources, const char *file);

#endif
