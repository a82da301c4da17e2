/* Commands whose events the kernel drops at exec: those that gain rights by it, and those that
 * their user may run but not read (begin_new_exec in the kernel's fs/exec.c; ptrace(2),
 * "dumpable"). */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

char *pmf_find_on_path(const char *name)
{
	const char *path = getenv("PATH");
	char *found = NULL;

	if (strchr(name, '/'))
		return pmf_strdup(name);
	for (const char *p = path ? path : "/bin:/usr/bin"; !found; p++) {
		size_t len = strcspn(p, ":");

		found = pmf_asprintf("%.*s/%s", len ? (int)len : 1, len ? p : ".", name);
		if (access(found, X_OK) != 0) {
			free(found);
			found = NULL;
		}
		p += len;
		if (!*p)
			break;
	}
	return found;
}

static const char *why_dropped(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || geteuid() == 0)
		return NULL;
	if ((st.st_mode & S_ISUID) && st.st_uid != geteuid())
		return "is set-uid";
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getegid())
		return "is set-gid";
	if (getxattr(path, "security.capability", NULL, 0) > 0)
		return "has file capabilities";
	if (access(path, R_OK) != 0)
		return "may be executed but not read by this user";
	return NULL;
}

void pmf_dropped_note(struct pmf_profile *p, const char *command)
{
	char *path;
	const char *why;

	for (size_t e = 0; e < p->nr_events; e++)
		if (p->events[e].samples)
			return;
	path = pmf_find_on_path(command);
	why = path ? why_dropped(path) : NULL;
	if (why)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"'%s' %s, so the kernel dropped its events at exec: profile it as root, or "
			"profile a copy that is readable and without these rights",
			command, why);
	free(path);
}
