/* pmuflame/names.h - names of functions made short: what a label shows of a long one, and what
 * compilers add to one. Layer: profile (uses base). Threads: pure functions.
 *
 * A name is what a demangler or a runtime calls a function. Labels leave out what every reader can do
 * without: the type that it returns, its parameters, and template arguments of more than a few
 * characters ("…"); standard strings are std::string: docs/adr/0022. Names that are not understood (of Swift, of Zig, of nothing at all)
 * stay as they are. */
#ifndef PMUFLAME_NAMES_H
#define PMUFLAME_NAMES_H

#include "pmuflame/buf.h"
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* What a label keeps, where without it two functions look the same. */
struct pmf_name_keep {
	bool params;
	unsigned args; /* template arguments this deep in each other */
};
#define PMF_NAME_ALL_ARGS UINT_MAX

/* Append @name without what @keep does not keep. Linear in the length of @name; one of more than 64 KiB
 * is appended as it is. */
void pmf_name_add_label(struct pmf_buf *out, const char *name, struct pmf_name_keep keep);

/* The length of @name without what says that it is a part or a copy of a function, made by the
 * compiler: ".cold", ".part.0", ".constprop.0", ".isra.0", ".lto_priv.0", ".llvm.123" and the like,
 * also as demanglers write it: " [clone .cold]". strlen(@name) where there is nothing of it. */
size_t pmf_name_without_clone(const char *name);
/* Is it a part of a function (".part.0", ".cold"), to which the function itself goes on? */
bool pmf_name_is_part(const char *name);

#endif
