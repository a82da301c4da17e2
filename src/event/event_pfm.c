/* libpfm4's names (libpfm(3)): unit masks and hardware attributes included. */
#include "event_priv.h"

#include "pmuflame/mem.h"
#include <perfmon/pfmlib_perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* libpfm4 keeps its own state: initialising it again is free. */
static bool ready(void)
{
	return pfm_initialize() == PFM_SUCCESS;
}

static int encode(const char *text, int privilege, struct perf_event_attr *attr, int *idx)
{
	pfm_perf_encode_arg_t arg = {.attr = attr, .size = sizeof arg};
	int ret;

	memset(attr, 0, sizeof *attr);
	ret = pfm_get_os_event_encoding(text, privilege, PFM_OS_PERF_EVENT, &arg);
	*idx = arg.idx;
	return ret;
}

/* Encode @text; what libpfm4 makes of the privilege levels is turned into perf's meaning: without u
 * and k everything counts. Whether the text has them shows in encoding it with another default. */
static int encode_as_perf(
	const char *text, struct perf_event_attr *attr, bool *user_given, int *idx)
{
	struct perf_event_attr other;
	int other_idx, ret = encode(text, PFM_PLM0 | PFM_PLM3, attr, idx);

	if (ret != PFM_SUCCESS)
		return ret;
	ret = encode(text, PFM_PLM3, &other, &other_idx);
	*user_given = ret == PFM_SUCCESS && other.exclude_user == attr->exclude_user &&
		      other.exclude_kernel == attr->exclude_kernel &&
		      (attr->exclude_user || attr->exclude_kernel);
	if (*user_given) {
		attr->exclude_hv = 1;
	} else {
		attr->exclude_user = 0;
		attr->exclude_kernel = 0;
		attr->exclude_hv = 0;
	}
	/* libpfm4 leaves guests out unless :mg asks for them; perf's default counts what runs. */
	if (!strcasestr(text, ":mg") && !strcasestr(text, ":mh")) {
		attr->exclude_guest = 0;
		attr->exclude_host = 0;
	}
	attr->size = sizeof *attr;
	return PFM_SUCCESS;
}

static int add(const struct pmf_event_env *env, struct pmf_event *ev,
	const struct perf_event_attr *attr, int idx)
{
	pfm_event_info_t info = {.size = sizeof info};
	pfm_pmu_info_t pmu = {.size = sizeof pmu};
	bool core = true;

	if (pfm_get_event_info(idx, PFM_OS_PERF_EVENT, &info) == PFM_SUCCESS &&
		pfm_get_pmu_info(info.pmu, &pmu) == PFM_SUCCESS)
		core = pmu.type == PFM_PMU_TYPE_CORE;
	ev->cls = pmf_event_classify(attr->type, attr->config, core);
	if (attr->type == PERF_TYPE_HARDWARE || attr->type == PERF_TYPE_HW_CACHE ||
		attr->type == PERF_TYPE_SOFTWARE) {
		pmf_event_add_generic(env, ev, attr->type, attr->config);
	} else {
		struct pmf_pmu_list list;
		const struct pmf_pmu *found = NULL;

		pmf_pmu_list_read(env, &list);
		for (size_t i = 0; i < list.n && !found; i++)
			found = list.pmus[i].type == attr->type ? &list.pmus[i] : NULL;
		pmf_event_add_attr(ev, attr->type, attr->config, found ? found->name : pmu.name,
			found ? found->cpus : NULL);
		pmf_pmu_list_release(&list);
	}
	for (size_t i = 0; i < ev->nr_attrs; i++) {
		struct perf_event_attr *a = &ev->attrs[i].attr;

		a->config1 = attr->config1;
		a->config2 = attr->config2;
		a->exclude_user = attr->exclude_user;
		a->exclude_kernel = attr->exclude_kernel;
		a->exclude_hv = attr->exclude_hv;
		a->exclude_host = attr->exclude_host;
		a->exclude_guest = attr->exclude_guest;
	}
	return 0;
}

/* The length of "pmu::EVENT" or "EVENT" in @text. */
static int event_length(const char *text)
{
	const char *colons = strstr(text, "::"), *event = colons ? colons + 2 : text;

	return (int)(event - text + (ptrdiff_t)strcspn(event, ":"));
}

int pmf_event_from_pfm(const struct pmf_event_env *env, const char *text, struct pmf_event *ev,
	const char **mods, struct pmf_err *err)
{
	struct perf_event_attr attr;
	char *head, *colon;
	int idx, ret;

	if (!env->pfm || !ready())
		return 1;
	/* The whole text first, as libpfm4's unit masks and u and k look like modifiers; then
	 * without its last part, for the modifiers that only perf has. */
	ret = encode_as_perf(text, &attr, &ev->user_given, &idx);
	*mods = "";
	if (ret == PFM_SUCCESS)
		return add(env, ev, &attr, idx);
	head = pmf_strdup(text);
	colon = strrchr(head, ':');
	if (colon && colon > head && colon[-1] != ':' && colon[1]) {
		*colon = '\0';
		if (encode_as_perf(head, &attr, &ev->user_given, &idx) == PFM_SUCCESS &&
			strspn(colon + 1, "ukhpPDGH") == strlen(colon + 1)) {
			*mods = text + (colon - head) + 1;
			free(head);
			return add(env, ev, &attr, idx);
		}
	}
	free(head);
	if (ret == PFM_ERR_NOTFOUND || ret == PFM_ERR_INVAL || ret == PFM_ERR_NOINIT)
		return 1;
	return pmf_err_set(err, PMF_EUSAGE,
		"libpfm4 does not take '%s' (%s): 'pmuflame list %.*s' shows the event's unit "
		"masks; the modifiers are u, k, h, p to ppp, P, D, G and H",
		text, pfm_strerror(ret), event_length(text), text);
}

struct walk {
	pmf_event_walk_cb *cb;
	void *ctx;
	const char *pmu;
};

static int emit(const struct walk *w, const char *event, const char *umask, const char *desc)
{
	char *name =
		pmf_asprintf("%s::%s%s%s", w->pmu, event, umask ? ":" : "", umask ? umask : "");
	struct pmf_event_info info = {name, w->pmu, desc ? desc : "", "libpfm4"};
	int ret = w->cb(w->ctx, &info);

	free(name);
	return ret;
}

static int walk_event(const struct walk *w, const pfm_event_info_t *event)
{
	struct perf_event_attr attr;
	char *name = pmf_asprintf("%s::%s", w->pmu, event->name);
	int a, idx, ret = 0;

	/* Without a unit mask it is a name only where libpfm4 has a default one. */
	if (encode(name, PFM_PLM0 | PFM_PLM3, &attr, &idx) == PFM_SUCCESS)
		ret = emit(w, event->name, NULL, event->desc);
	free(name);
	pfm_for_each_event_attr(a, event)
	{
		pfm_event_attr_info_t info = {.size = sizeof info};

		if (ret)
			break;
		if (pfm_get_event_attr_info(event->idx, a, PFM_OS_PERF_EVENT, &info) ==
				PFM_SUCCESS &&
			info.type == PFM_ATTR_UMASK)
			ret = emit(w, event->name, info.name, info.desc);
	}
	return ret;
}

int pmf_event_walk_pfm(pmf_event_walk_cb *cb, void *ctx)
{
	int pmu, ret = 0;

	if (!ready())
		return 0;
	pfm_for_all_pmus(pmu)
	{
		pfm_pmu_info_t info = {.size = sizeof info};
		struct walk w = {cb, ctx, NULL};

		/* perf and perf_raw are the kernel's aliases once more. */
		if (pfm_get_pmu_info(pmu, &info) != PFM_SUCCESS || !info.is_present ||
			pmu == PFM_PMU_PERF_EVENT || pmu == PFM_PMU_PERF_EVENT_RAW)
			continue;
		w.pmu = info.name;
		for (int i = info.first_event; i != -1 && !ret; i = pfm_get_event_next(i)) {
			pfm_event_info_t event = {.size = sizeof event};

			if (pfm_get_event_info(i, PFM_OS_PERF_EVENT, &event) == PFM_SUCCESS)
				ret = walk_event(&w, &event);
		}
	}
	return ret;
}
