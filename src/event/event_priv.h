/* event_priv.h - what the files of the event module share; the unit tests look in too, to run
 * against a made-up sysfs. */
#ifndef PMF_EVENT_PRIV_H
#define PMF_EVENT_PRIV_H

#include "pmuflame/buf.h"
#include "pmuflame/event.h"

/* Where this machine describes its events. */
struct pmf_event_env {
	const char *sysfs;      /* folder with one folder per PMU */
	const char *tracefs[2]; /* looked at in this order */
	bool pfm;               /* ask libpfm4, which looks at the real machine */
};
extern const struct pmf_event_env pmf_event_env_here;

/* The public functions, against @env. */
int pmf_event_list_add_in(const struct pmf_event_env *env, struct pmf_event_list *list,
	const char *arg, pmf_event_can_open *can_open, void *ctx, struct pmf_err *err);
int pmf_event_walk_in(
	const struct pmf_event_env *env, pmf_event_walk_cb *cb, void *ctx, struct pmf_err *err);
int pmf_event_tracefs_check_in(const struct pmf_event_env *env, struct pmf_err *err);

void pmf_event_release(struct pmf_event *ev);
/* Append one way to open @ev; @pmu and @cpus are copied and may be NULL. Valid until the next. */
struct pmf_event_attr *pmf_event_add_attr(
	struct pmf_event *ev, uint32_t type, uint64_t config, const char *pmu, const char *cpus);
/* The class of attr.type and attr.config; @core: a PMU outside the fixed types belongs to a
 * core. */
enum pmf_event_class pmf_event_classify(uint32_t type, uint64_t config, bool core);
/* A strict number, decimal or 0x, all of @s. */
bool pmf_event_number(const char *s, size_t len, uint64_t *out);

#define PMF_EVENT_MODIFIERS "ukhpPDGH"

/* ---- Resolvers: what a NAME stands for ----
 * Each looks at @text (NAME and perhaps ":modifiers") and returns 1 if it does not know the NAME, a
 * negative status with @err set if it does and something is wrong, or 0 with @ev's attrs and class
 * filled in and *@mods pointing at the modifiers behind the NAME ("" if none). On failure @ev may
 * hold attrs: release it. */
int pmf_event_from_alias(const struct pmf_event_env *env, const char *text, struct pmf_event *ev,
	const char **mods, struct pmf_err *err);
int pmf_event_from_raw(const struct pmf_event_env *env, const char *text, struct pmf_event *ev,
	const char **mods, struct pmf_err *err);
int pmf_event_from_pmu(const struct pmf_event_env *env, const char *text, struct pmf_event *ev,
	const char **mods, struct pmf_err *err);
int pmf_event_from_sysfs_name(const struct pmf_event_env *env, const char *text,
	struct pmf_event *ev, const char **mods, struct pmf_err *err);
int pmf_event_from_breakpoint(const struct pmf_event_env *env, const char *text,
	struct pmf_event *ev, const char **mods, struct pmf_err *err);
int pmf_event_from_tracepoint(const struct pmf_event_env *env, const char *text,
	struct pmf_event *ev, const char **mods, struct pmf_err *err);
/* libpfm4 has u and k of its own: what they said is in the attrs and in ev->user_given. */
int pmf_event_from_pfm(const struct pmf_event_env *env, const char *text, struct pmf_event *ev,
	const char **mods, struct pmf_err *err);

/* If @text has the form of a tracepoint: why tracefs could not tell (negative status), else 0. */
int pmf_event_tracepoint_trouble(
	const struct pmf_event_env *env, const char *text, struct pmf_err *err);

/* ---- Kernel aliases ---- */

/* type and config of the kernel's own name @name (@len bytes): false if it has none. */
bool pmf_event_alias_find(const char *name, size_t len, uint32_t *type, uint64_t *config);
/* One attr, or one per core PMU where cores differ. */
void pmf_event_add_generic(
	const struct pmf_event_env *env, struct pmf_event *ev, uint32_t type, uint64_t config);
int pmf_event_walk_aliases(pmf_event_walk_cb *cb, void *ctx);

/* ---- PMUs in sysfs ---- */

struct pmf_pmu {
	char *name;
	uint32_t type;
	char *cpus;   /* of a core PMU that covers some CPUs, or of an uncore PMU's cpumask; or
		       * NULL */
	bool core;    /* counts instructions of a core: "cpu", or has a `cpus` file */
	bool on_core; /* core, or samples a core by other means (AMD IBS, s390's counters) */
};

struct pmf_pmu_list {
	struct pmf_pmu *pmus; /* sorted by name */
	size_t n, cap;
};

void pmf_pmu_list_read(const struct pmf_event_env *env, struct pmf_pmu_list *out);
void pmf_pmu_list_release(struct pmf_pmu_list *list);
/* How many core PMUs with CPUs of their own there are: two or more make a hybrid machine. */
size_t pmf_pmu_list_nr_cores(const struct pmf_pmu_list *list);
const struct pmf_pmu *pmf_pmu_list_find(
	const struct pmf_pmu_list *list, const char *name, size_t len);
int pmf_event_walk_sysfs(const struct pmf_event_env *env, pmf_event_walk_cb *cb, void *ctx);
/* Beside each file of an event, NAME, stand NAME.unit, NAME.scale and the like: is @name not
 * one? */
bool pmf_event_is_event_file(const char *name, size_t len);
/* The names in a folder that are not hidden, sorted; *@names is freed with pmf_free_strings. */
size_t pmf_event_names_read(const char *dir, char ***names);

/* ---- Others ---- */

int pmf_event_walk_tracepoints(const struct pmf_event_env *env, pmf_event_walk_cb *cb, void *ctx);
int pmf_event_walk_pfm(pmf_event_walk_cb *cb, void *ctx);
/* Append up to three known names near @name to @out ("a, b and c"); false if there is none. */
bool pmf_event_nearest(const struct pmf_event_env *env, const char *name, struct pmf_buf *out);
const struct pmf_event_preset *pmf_event_preset_find(
	const struct pmf_event_preset *among, const char *name, size_t len);

#endif
