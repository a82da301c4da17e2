/* Everything that could be asked for, and which of it comes near a name that nothing knows. */
#include "event_priv.h"

#include "pmuflame/mem.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NEAREST = 3, NAME_MAX_BYTES = 64 };

int pmf_event_walk_in(
	const struct pmf_event_env *env, pmf_event_walk_cb *cb, void *ctx, struct pmf_err *err)
{
	int ret = pmf_event_walk_aliases(cb, ctx);

	(void)err;
	if (ret == 0)
		ret = pmf_event_walk_sysfs(env, cb, ctx);
	if (ret == 0 && env->pfm)
		ret = pmf_event_walk_pfm(cb, ctx);
	if (ret == 0)
		ret = pmf_event_walk_tracepoints(env, cb, ctx);
	return ret;
}

int pmf_event_walk(pmf_event_walk_cb *cb, void *ctx, struct pmf_err *err)
{
	return pmf_event_walk_in(&pmf_event_env_here, cb, ctx, err);
}

struct near {
	const char *want;
	struct {
		char *name;
		unsigned distance;
	} best[NEAREST];
	size_t n;
};

static unsigned char fold(char c)
{
	return c == '_' ? '-' : (unsigned char)tolower((unsigned char)c);
}

/* Edits (insert, delete, replace, swap of neighbours) between two names; more than @limit is
 * limit + 1. */
static unsigned edits(const char *a, const char *b, unsigned limit)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned rows[3][NAME_MAX_BYTES + 1];
	unsigned *before = rows[0], *prev = rows[1], *row = rows[2];

	if (la > NAME_MAX_BYTES || lb > NAME_MAX_BYTES || PMF_MAX(la, lb) - PMF_MIN(la, lb) > limit)
		return limit + 1;
	for (size_t j = 0; j <= lb; j++)
		prev[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *old = before, least;

		row[0] = least = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned char x = fold(a[i - 1]), y = fold(b[j - 1]);

			row[j] = PMF_MIN(prev[j - 1] + (x != y), PMF_MIN(prev[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && x == fold(b[j - 2]) && y == fold(a[i - 2]))
				row[j] = PMF_MIN(row[j], before[j - 2] + 1);
			least = PMF_MIN(least, row[j]);
		}
		if (least > limit)
			return limit + 1;
		before = prev;
		prev = row;
		row = old;
	}
	return prev[lb];
}

static void offer(struct near *near, const char *name, const char *compare)
{
	unsigned limit = (unsigned)PMF_MAX(strlen(near->want) / 3, (size_t)2), d;
	size_t at = near->n;

	d = edits(near->want, compare, limit);
	if (d > limit)
		return;
	for (size_t i = 0; i < near->n; i++)
		if (strcmp(near->best[i].name, name) == 0)
			return;
	while (at > 0 && near->best[at - 1].distance > d)
		at--;
	if (at == NEAREST)
		return;
	if (near->n == NEAREST)
		free(near->best[--near->n].name);
	memmove(&near->best[at + 1], &near->best[at], (near->n - at) * sizeof near->best[0]);
	near->best[at].name = pmf_strdup(name);
	near->best[at].distance = d;
	near->n++;
}

static bool umask_wanted(const char *want)
{
	const char *colons = strstr(want, "::");

	return strchr(colons ? colons + 2 : want, ':') != NULL;
}

/* Offer @info by the parts of its name that people write alone: what is inside "pmu/event/", and
 * what is behind "pmu::" with and without the unit mask. */
static int offer_info(void *ctx, const struct pmf_event_info *info)
{
	struct near *near = ctx;
	const char *colons = strstr(info->name, "::"), *slash = strchr(info->name, '/');
	char part[NAME_MAX_BYTES + 1];
	size_t len;

	if (colons) {
		const char *event = strstr(near->want, "::") ? info->name : colons + 2;
		const char *umask = strchr(colons + 2, ':');

		offer(near, info->name, event);
		len = umask ? (size_t)(umask - info->name) : 0;
		if (len && len < sizeof part && !umask_wanted(near->want)) {
			memcpy(part, info->name, len);
			part[len] = '\0';
			offer(near, part, part + (event - info->name));
		}
	} else if (slash && !strchr(near->want, '/') && strlen(slash) - 2 < sizeof part) {
		len = strlen(slash) - 2;
		memcpy(part, slash + 1, len);
		part[len] = '\0';
		offer(near, info->name, part);
	} else {
		offer(near, info->name, info->name);
	}
	return 0;
}

bool pmf_event_nearest(const struct pmf_event_env *env, const char *name, struct pmf_buf *out)
{
	struct near near = {.want = name};

	if (strlen(name) > NAME_MAX_BYTES)
		return false;
	for (const struct pmf_event_preset *p = pmf_event_presets(); p->name; p++)
		offer(&near, p->name, p->name);
	pmf_event_walk_in(env, offer_info, &near, NULL);
	for (size_t i = 0; i < near.n; i++) {
		pmf_buf_printf(out, "%s%s",
			i == 0            ? ""
			: i + 1 == near.n ? " and "
					  : ", ",
			near.best[i].name);
		free(near.best[i].name);
	}
	return near.n > 0;
}
