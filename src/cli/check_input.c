/* What was measured before: summaries, profiles, baselines. */
#include "check.h"

#include "input.h"

#include "pmuflame/file.h"
#include "pmuflame/measure.h"
#include "pmuflame/mem.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), cut = strlen(end);

	return len >= cut && strcmp(text + len - cut, end) == 0;
}

static bool is_summary(const char *path)
{
	return ends_with(path, ".json");
}

static char *summary_of(const char *folder)
{
	return pmf_asprintf("%s/summary.json", folder);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- Cases ---- */

struct loader {
	struct pmf_sweep_result *r;
	struct pmf_check_profiles *profiles; /* NULL: not wanted */
};

static bool same_vary(const struct pmf_sweep_case *a, const struct pmf_sweep_case *b)
{
	for (size_t i = 0; i < a->nr_vary && i < b->nr_vary; i++)
		if (strcmp(a->vary[i], b->vary[i]) != 0)
			return false;
	return a->nr_vary == b->nr_vary;
}

const struct pmf_sweep_case *pmf_check_find(
	const struct pmf_sweep_result *baseline, const struct pmf_sweep_case *c)
{
	for (size_t i = 0; i < baseline->nr_cases; i++)
		if (strcmp(baseline->cases[i].target, c->target) == 0 &&
			same_vary(&baseline->cases[i], c))
			return &baseline->cases[i];
	return NULL;
}

/* A profile is a run of its title's case. */
static int add_profile(struct loader *l, char *path, struct pmf_err *err)
{
	struct pmf_sweep_case key = {0};
	const struct pmf_sweep_case *c;
	struct pmf_profile p;
	struct pmf_measured m = {0};
	size_t at;
	int ret = pmf_input_load(&p, &path, 1, NULL, err);

	if (ret)
		return ret;
	pmf_measured_of(&m, &p);
	key.target = p.title ? pmf_strdup(p.title) : pmf_input_stem(&path, 1, NULL);
	c = pmf_check_find(l->r, &key);
	at = c ? (size_t)(c - l->r->cases) : l->r->nr_cases;
	if (!c)
		pmf_sweep_add_case(l->r, key.target, p.command, NULL);
	if (!l->r->host)
		l->r->host = pmf_strdup(m.host);
	ret = pmf_sweep_add_run(&l->r->cases[at], 0, &m, NULL, err);
	if (ret)
		pmf_err_prefix(err, "'%s'", path);
	else if (l->profiles)
		PMF_PUSH(l->profiles->items, l->profiles->n, l->profiles->cap) =
			(struct pmf_check_profile){pmf_strdup(path), at};
	pmf_measured_release(&m);
	pmf_profile_release(&p);
	free(key.target);
	return ret;
}

/* The cases of several summaries stand beside each other. */
static int add_summary(struct loader *l, const char *path, struct pmf_err *err)
{
	struct pmf_sweep_result one;
	int ret = pmf_sweep_load(&one, path, err);

	for (size_t i = 0; i < one.nr_cases && ret == 0; i++)
		PMF_PUSH(l->r->cases, l->r->nr_cases, l->r->cap_cases) = one.cases[i];
	if (ret == 0) {
		one.nr_cases = 0;
		if (!l->r->host) {
			l->r->host = one.host;
			one.host = NULL;
		}
	}
	pmf_sweep_release(&one);
	return ret;
}

static int is_profile_name(const struct dirent *e)
{
	return ends_with(e->d_name, ".pb.gz") && !ends_with(e->d_name, ".prev.pb.gz");
}

/* summary.json, or else every profile, in the order of their names. */
static int add_folder(struct loader *l, const char *path, struct pmf_err *err)
{
	char *summary = summary_of(path);
	struct dirent **names = NULL;
	int n = 0, ret = 0;

	if (access(summary, F_OK) == 0) {
		ret = add_summary(l, summary, err);
	} else {
		n = scandir(path, &names, is_profile_name, alphasort);
		if (n <= 0)
			ret = pmf_err_set(err, PMF_ENOTFOUND,
				"the folder '%s' has neither a summary.json nor a profile", path);
	}
	for (int i = 0; i < n; i++) {
		char *one = pmf_asprintf("%s/%s", path, names[i]->d_name);

		if (ret == 0)
			ret = add_profile(l, one, err);
		free(one);
		free(names[i]);
	}
	free(names);
	free(summary);
	return ret;
}

int pmf_check_load(struct pmf_sweep_result *r, struct pmf_check_profiles *profiles,
	char *const *paths, size_t n, struct pmf_err *err)
{
	struct loader l = {r, profiles};
	int ret = 0;

	memset(r, 0, sizeof *r);
	for (size_t i = 0; i < n && ret == 0; i++)
		ret = is_folder(paths[i])    ? add_folder(&l, paths[i], err)
		      : is_summary(paths[i]) ? add_summary(&l, paths[i], err)
					     : add_profile(&l, paths[i], err);
	return ret;
}

void pmf_check_profiles_release(struct pmf_check_profiles *profiles)
{
	for (size_t i = 0; i < profiles->n; i++)
		free(profiles->items[i].path);
	free(profiles->items);
	memset(profiles, 0, sizeof *profiles);
}

/* ---- Shares ---- */

int pmf_check_add_shares(struct pmf_check_group *g, const char *path, struct pmf_err *err)
{
	char *one[] = {(char *)path};
	struct pmf_profile p;
	struct pmf_tree tree;
	int ret = pmf_input_load(&p, one, 1, NULL, err);

	if (ret)
		return ret;
	pmf_tree_build(&tree, &p, NULL);
	for (size_t i = 0; i < g->n; i++) {
		struct pmf_check_item *item = &g->items[i];
		struct pmf_share share;

		if (item->budget->kind == PMF_BUDGET_SHARE &&
			pmf_budget_share(&share, item->budget, &tree, NULL) == 0)
			PMF_PUSH(item->shares, item->nr_shares, item->cap_shares) = share;
	}
	pmf_tree_release(&tree);
	pmf_profile_release(&p);
	return 0;
}

/* ---- Baselines ---- */

static bool has_baseline(const struct pmf_check_group *g, const char *path)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->items[i].baseline_path && strcmp(g->items[i].baseline_path, path) == 0)
			return !g->failed && g->measured->nr_values > 0;
	return false;
}

static int write_summary(const struct pmf_sweep_result *r, const char *path, struct pmf_err *err)
{
	struct pmf_buf text = PMF_BUF_INIT;
	struct pmf_outfile of;
	int ret;

	if (!is_summary(path)) {
		ret = pmf_outfolder_make(path, err);
		return ret ? ret : pmf_sweep_save(r, path, err);
	}
	ret = pmf_outfile_open(&of, path, err);
	if (ret == 0) {
		pmf_sweep_json(r, &text);
		fwrite(text.data, 1, text.len, of.f);
		ret = pmf_outfile_commit(&of, err);
	}
	pmf_buf_release(&text);
	return ret;
}

int pmf_check_save_baseline(const struct pmf_check *c, const char *path, struct pmf_err *err)
{
	char *summary = is_summary(path) ? pmf_strdup(path) : summary_of(path);
	struct pmf_sweep_result old = {0}, all = c->result;
	int ret = 0;

	if (access(summary, F_OK) == 0)
		ret = pmf_sweep_load(&old, summary, err);
	/* The cases stay their owners'. */
	all.cases = NULL;
	all.nr_cases = all.cap_cases = 0;
	for (size_t i = 0; i < c->n; i++)
		if (has_baseline(&c->groups[i], path))
			PMF_PUSH(all.cases, all.nr_cases, all.cap_cases) = *c->groups[i].measured;
	for (size_t i = 0; i < old.nr_cases; i++)
		if (!pmf_check_find(&all, &old.cases[i]))
			PMF_PUSH(all.cases, all.nr_cases, all.cap_cases) = old.cases[i];
	if (ret == 0 && all.nr_cases)
		ret = write_summary(&all, path, err);
	free(all.cases);
	pmf_sweep_release(&old);
	free(summary);
	return ret;
}
