/* The PMUs that the kernel describes in sysfs: what there is. */
#include "event_priv.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int cmp_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t pmf_event_names_read(const char *dir, char ***names)
{
	DIR *d = opendir(dir);
	size_t n = 0, cap = 0;
	struct dirent *de;

	*names = NULL;
	if (!d)
		return 0;
	while ((de = readdir(d)))
		if (de->d_name[0] != '.')
			PMF_PUSH(*names, n, cap) = pmf_strdup(de->d_name);
	closedir(d);
	if (n)
		qsort(*names, n, sizeof **names, cmp_names);
	return n;
}

/* A list of CPUs, NULL if the file is not there or empty: a core type that is offline. */
static char *read_cpus(const struct pmf_event_env *env, const char *pmu, const char *file)
{
	char line[4096] = "", *path = pmf_asprintf("%s/%s/%s", env->sysfs, pmu, file);
	int ret = pmf_file_read_line(path, line, sizeof line, NULL);

	free(path);
	return ret == 0 && line[0] ? pmf_strdup(line) : NULL;
}

static bool read_pmu(const struct pmf_event_env *env, const char *name, struct pmf_pmu *out)
{
	char *path = pmf_asprintf("%s/%s/type", env->sysfs, name);
	long long type;
	int ret = pmf_file_read_s64(path, &type, NULL);

	free(path);
	if (ret || type < 0 || type > UINT32_MAX)
		return false;
	path = pmf_asprintf("%s/%s/cpus", env->sysfs, name);
	out->core = strcmp(name, "cpu") == 0 || access(path, F_OK) == 0;
	free(path);
	out->on_core = out->core || pmf_starts_with(name, "ibs_") || pmf_starts_with(name, "cpum_");
	out->name = pmf_strdup(name);
	out->type = (uint32_t)type;
	out->cpus = read_cpus(env, name, out->core ? "cpus" : "cpumask");
	return true;
}

void pmf_pmu_list_read(const struct pmf_event_env *env, struct pmf_pmu_list *out)
{
	char **names;
	size_t n = pmf_event_names_read(env->sysfs, &names);

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < n; i++) {
		struct pmf_pmu pmu;

		if (read_pmu(env, names[i], &pmu))
			PMF_PUSH(out->pmus, out->n, out->cap) = pmu;
	}
	pmf_free_strings(names, n);
}

void pmf_pmu_list_release(struct pmf_pmu_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->pmus[i].name);
		free(list->pmus[i].cpus);
	}
	free(list->pmus);
	memset(list, 0, sizeof *list);
}

size_t pmf_pmu_list_nr_cores(const struct pmf_pmu_list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += list->pmus[i].core && list->pmus[i].cpus;
	return n;
}

const struct pmf_pmu *pmf_pmu_list_find(
	const struct pmf_pmu_list *list, const char *name, size_t len)
{
	for (size_t i = 0; i < list->n; i++)
		if (strlen(list->pmus[i].name) == len && memcmp(list->pmus[i].name, name, len) == 0)
			return &list->pmus[i];
	return NULL;
}

bool pmf_event_is_event_file(const char *name, size_t len)
{
	static const char *const beside[] = {".unit", ".scale", ".per-pkg", ".snapshot"};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(beside); i++) {
		size_t tail = strlen(beside[i]);

		if (len > tail && memcmp(name + len - tail, beside[i], tail) == 0)
			return false;
	}
	return true;
}

int pmf_event_walk_sysfs(const struct pmf_event_env *env, pmf_event_walk_cb *cb, void *ctx)
{
	struct pmf_pmu_list list;
	int ret = 0;

	pmf_pmu_list_read(env, &list);
	for (size_t i = 0; i < list.n && !ret; i++) {
		char *dir = pmf_asprintf("%s/%s/events", env->sysfs, list.pmus[i].name), **names;
		size_t n = pmf_event_names_read(dir, &names);

		for (size_t k = 0; k < n && !ret; k++) {
			char *name, *path, desc[256] = "";
			struct pmf_event_info info = {NULL, list.pmus[i].name, desc, "pmu"};

			if (!pmf_event_is_event_file(names[k], strlen(names[k])))
				continue;
			name = pmf_asprintf("%s/%s/", list.pmus[i].name, names[k]);
			path = pmf_asprintf("%s/%s", dir, names[k]);
			info.name = name;
			if (pmf_file_read_line(path, desc, sizeof desc, NULL))
				desc[0] = '\0';
			ret = cb(ctx, &info);
			free(name);
			free(path);
		}
		pmf_free_strings(names, n);
		free(dir);
	}
	pmf_pmu_list_release(&list);
	return ret;
}
