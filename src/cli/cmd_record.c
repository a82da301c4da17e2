/* pmuflame [record] [options] [--] COMMAND|TARGET [ARG...] */
#include "attempts.h"
#include "cli.h"
#include "live.h"
#include "part.h"
#include "record_args.h"
#include "sandbox_args.h"
#include "target_name.h"
#include "tree_args.h"

#include "pmuflame/file.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include "pmuflame/vary.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The live line on a terminal: elapsed, samples per event, lost. */
static void show_progress(void *ctx, const struct pmf_progress *g)
{
	struct pmf_buf line = PMF_BUF_INIT;
	bool *shown = ctx;
	char n[PMF_UNITS_MAX];

	if (g->profile->watched)
		pmf_buf_printf(&line, "%s  ", g->profile->watched);
	pmf_buf_printf(&line, "%.1f s", (double)g->elapsed_ns / 1e9);
	for (size_t e = 0; e < g->profile->nr_events; e++)
		pmf_buf_printf(&line, "  %s %s", g->profile->events[e].label,
			pmf_format_count(n, g->samples[e]));
	pmf_buf_printf(&line, "  lost %s", pmf_format_count(n, g->lost));
	*shown |= pmf_live_show(pmf_buf_str(&line));
	pmf_buf_release(&line);
}

static void warn_about_plan(const struct pmf_event_list *list)
{
	for (size_t e = 0; e < list->n; e++)
		if (list->events[e].fallback_reason)
			pmf_warn("warning: %s; sampling %s instead of %s (--strict forbids it)",
				list->events[e].fallback_reason, list->events[e].label,
				list->events[e].spec);
	for (size_t i = 0; i < list->nr_dropped; i++)
		pmf_warn("warning: not recorded here: %s", list->dropped[i]);
}

static int exec_failed(const char *command, int errnum)
{
	char *local = pmf_asprintf("./%s", command);
	bool there = command[0] && !strchr(command, '/') && access(local, X_OK) == 0;
	int status = errnum == ENOENT ? PMF_EXIT_NOT_FOUND : PMF_EXIT_CANNOT_EXEC;

	if (status == PMF_EXIT_NOT_FOUND && strchr(command, '/') && access(command, F_OK) == 0)
		pmf_cli_failf(status,
			"cannot execute '%s': the interpreter that it names is missing", command);
	else if (status == PMF_EXIT_NOT_FOUND && there)
		pmf_cli_failf(status, "command '%s' was not found: `%s` exists: did you mean that?",
			command, local);
	else if (status == PMF_EXIT_NOT_FOUND)
		pmf_cli_failf(status, "command '%s' was not found%s", command,
			strchr(command, '/') ? "" : ", and no pmuflame.ini from here up names it");
	else
		pmf_cli_failf(status, "cannot execute '%s': %s", command, strerror(errnum));
	free(local);
	return status;
}

static int exit_status(const struct pmf_collect_result *res)
{
	return res->duration_over ? PMF_EXIT_OK : pmf_cli_wait_status(res->wait_status);
}

/* Draw, write, report. Whatever can be written is, even when something else cannot. */
static int finish(struct pmf_record_args *a, struct pmf_profile *p,
	const struct pmf_collect_result *res, struct pmf_err *err)
{
	static const struct pmf_part last = {.kind = PMF_PART_INTERVAL};
	struct pmf_tree tree;
	struct pmf_output_list written = {0};
	struct pmf_part_files files;
	int ret, ret2 = 0;

	pmf_part_files_init(&files, a, a->collect.parts.rotate_ns ? &last : NULL, p);
	pmf_tree_build(&tree, p, &a->tree);
	ret = pmf_output_write(&tree, &files.output, &written, err);
	pmf_part_expire(a, p, res->expired_unix_ns);
	if (a->collect.raw_path && res->raw.status == PMF_OK)
		PMF_PUSH(written.paths, written.n, written.cap) = pmf_strdup(a->collect.raw_path);
	else if (ret == 0 && res->raw.status != PMF_OK)
		ret = pmf_err_set(err, res->raw.status, "%s", res->raw.text);
	if (files.summary_path)
		ret2 = pmf_output_summary_json(&tree, &written, files.summary_path,
			exit_status(res), res, ret ? NULL : err);
	if (!a->quiet)
		pmf_output_summary_text(&tree, &written, exit_status(res));
	pmf_output_list_release(&written);
	pmf_tree_release(&tree);
	pmf_part_files_release(&files);
	return ret ? ret : ret2;
}

static int prepare_output(
	struct pmf_record_args *a, const struct pmf_event_list *list, struct pmf_err *err)
{
	char **names = pmf_calloc(list->n, sizeof *names);
	int ret;

	for (size_t e = 0; e < list->n; e++)
		names[e] = pmf_file_safe_name(list->events[e].label);
	a->output.is_run = true;
	ret = pmf_output_prepare(&a->output, names, list->n, a->summary_path, err);
	pmf_free_strings(names, list->n);
	return ret;
}

static int record(struct pmf_record_args *a, struct pmf_event_list *list)
{
	struct pmf_collect_result res;
	struct pmf_profile profile;
	struct pmf_err err = PMF_ERR_INIT, no_sandbox;
	bool progress_shown = false;
	struct pmf_part_writer writer = {a, &res, &progress_shown};
	char *cache = pmf_cli_build_id_cache();
	int status, ret;

	if (pmf_sandbox_begin(a->sandbox, a->collect.who.target != PMF_PERF_COMMAND,
		    &a->collect.sandbox, &no_sandbox, &err) ||
		prepare_output(a, list, &err)) {
		pmf_sandbox_stop(a->collect.sandbox);
		pmf_output_undo(&a->output);
		free(cache);
		return pmf_cli_fail(PMF_EXIT_FAILED, &err);
	}
	warn_about_plan(list);
	if (no_sandbox.status != PMF_OK)
		a->collect.no_sandbox = no_sandbox.text;
	if (a->command[0])
		a->collect.argv = a->target ? a->target_argv : a->command;
	if (!a->no_command)
		a->collect.raw_argv = a->collect.argv;
	if (!a->quiet && isatty(STDERR_FILENO)) {
		a->collect.progress = show_progress;
		a->collect.naming = pmf_live_naming;
	}
	a->collect.naming_depth = pmf_attempts_depth;
	a->collect.cache = cache;
	a->collect.ctx = &progress_shown;
	a->collect.parts.write = pmf_part_write;
	a->collect.parts.failed = pmf_part_failed;
	a->collect.parts.ctx = &writer;
	ret = pmf_collect_run(&profile, list, &a->collect, &res, &err);
	pmf_sandbox_stop(a->collect.sandbox);
	free(cache);
	/* Whoever read stderr may have ended with the command, whose status is to be passed on. */
	signal(SIGPIPE, SIG_IGN);
	/* A file that may not grow (ulimit -f) is one sentence, too. */
	signal(SIGXFSZ, SIG_IGN);
	if (progress_shown)
		pmf_live_clear();
	if (ret || res.exec_errno)
		pmf_output_undo(&a->output);
	if (ret)
		return pmf_cli_fail(PMF_EXIT_FAILED, &err);
	if (res.exec_errno) {
		status = exec_failed(a->command[0], res.exec_errno);
	} else {
		pmf_part_describe(a, &profile);
		status = exit_status(&res);
		if (finish(a, &profile, &res, &err))
			status = pmf_cli_fail(PMF_EXIT_FAILED, &err);
	}
	pmf_profile_release(&profile);
	return status;
}

static bool names_preset(const struct pmf_plan_opts *plan)
{
	for (size_t i = 0; i < plan->nr_specs; i++)
		if (strchr(plan->specs[i], '@'))
			return true;
	return false;
}

static bool is_said(
	const struct pmf_record_args *a, const struct pmf_target *t, const char *setting)
{
	bool said = pmf_vary_in_target(t, setting);

	for (char *const *arg = a->command; *arg && !said; arg++)
		said = pmf_vary_in_text(*arg, setting);
	return said;
}

/* Put what --set says into the command and into @t. */
static int apply_settings(
	struct pmf_record_args *a, const struct pmf_target *t, struct pmf_err *err)
{
	struct pmf_config *config = &a->config.file;

	for (size_t i = 0; i < a->nr_settings; i++)
		if (!is_said(a, t, a->settings[i]))
			pmf_warn("warning: --set %s changes nothing: '%s' does not say {%.*s}",
				a->settings[i], a->command[0], (int)strcspn(a->settings[i], "="),
				a->settings[i]);
	a->varied = pmf_vary_argv(a->command, a->settings, a->nr_settings);
	a->command = a->varied;
	if (!t)
		return 0;
	return pmf_vary_target(
		&config->targets[t - config->targets], a->settings, a->nr_settings, err);
}

/* What pmuflame.ini says, where the command line leaves that open. A word with a slash is a command. */
static int apply_config(struct pmf_record_args *a, struct pmf_err *err)
{
	static char default_spec[] = "cycles";
	bool word = a->command[0] && !strchr(a->command[0], '/');
	const struct pmf_target *t;
	int ret;

	if (word || names_preset(&a->plan)) {
		ret = pmf_cli_config_load(&a->config, err);
		if (ret)
			return ret;
	}
	if (word && pmf_target_is_all(&a->config, a->command[0]))
		return 0;
	t = word ? pmf_config_target(&a->config.file, a->command[0]) : NULL;
	ret = a->nr_settings && a->command[0] ? apply_settings(a, t, err) : 0;
	if (ret)
		return ret;
	if (t) {
		if (a->plan.nr_specs == 0)
			for (size_t i = 0; i < t->nr_events; i++)
				PMF_PUSH(a->plan.specs, a->plan.nr_specs, a->cap_specs) =
					t->events[i];
		if (!a->plan.period && !a->plan.freq_hz) {
			a->plan.period = t->period;
			a->plan.freq_hz = t->freq_hz;
		}
		a->target = t;
		a->target_argv = pmf_target_argv(t, t->command, a->command + 1);
	}
	if (a->plan.nr_specs == 0)
		PMF_PUSH(a->plan.specs, a->plan.nr_specs, a->cap_specs) = default_spec;
	return 0;
}

/* The last part of @path. */
static char *name_of_cgroup(const char *path)
{
	size_t end = strlen(path), start;

	while (end && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/';)
		start--;
	return end ? pmf_strndup(path + start, end - start) : pmf_strdup("cgroup");
}

/* What the run is called, as people see it. */
static char *name_of(struct pmf_record_args *a)
{
	const struct pmf_collect_who *who = &a->collect.who;
	char *first, *name;

	switch (who->target) {
	case PMF_PERF_SYSTEM:
		return pmf_strdup("system");
	case PMF_PERF_CGROUP:
		return name_of_cgroup(who->cgroup);
	case PMF_PERF_TASKS:
		first = pmf_target_name_of_pid(who->pids[0]);
		if (who->nr_pids == 1)
			return first;
		name = pmf_asprintf("%s-and-%zu", first, who->nr_pids - 1);
		free(first);
		return name;
	default:
		return a->target ? pmf_strdup(a->target->name) : pmf_target_name(a->command);
	}
}

/* The events and names of the run, and the run; of a target, with what comes before and after it. */
static int run(struct pmf_record_args *a, struct pmf_err *err)
{
	const struct pmf_target *t = a->target;
	struct pmf_event_list list;
	int status = PMF_EXIT_FAILED;

	pmf_event_list_init(&list);
	list.presets = a->config.presets;
	if (pmf_plan_events(&list, &a->plan, err) ||
		(t && pmf_target_step(t, t->setup, "setup", err))) {
		pmf_cli_fail(status, err);
	} else {
		a->name = name_of(a);
		if (a->collect.who.target == PMF_PERF_TASKS)
			a->attached_argv = pmf_target_command_of_pid(a->who.pids[0]);
		a->output.name = pmf_target_file_name(a->name);
		status = record(a, &list);
		if (t && pmf_target_step(t, t->teardown, "teardown", err))
			pmf_warn("warning: %s", err->text);
	}
	pmf_event_list_release(&list);
	return status;
}

static void on_snapshot(int sig)
{
	(void)sig;
}

/* SIGUSR1 asks for a snapshot: before there is something to show, and after it, that is no reason to end. A
 * handler, unlike SIG_IGN, is not left to the command. */
static void bear_snapshots(void)
{
	struct sigaction action;

	if (sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
		action = (struct sigaction){.sa_handler = on_snapshot, .sa_flags = SA_RESTART};
		sigaction(SIGUSR1, &action, NULL);
	}
}

static int cmd_record(int argc, char **argv)
{
	struct pmf_record_args a = {0};
	struct pmf_err err = PMF_ERR_INIT;
	int status, ret;

	if (argc < 2) {
		pmf_record_args_help(stderr);
		return PMF_EXIT_FAILED;
	}
	bear_snapshots();
	ret = pmf_record_args_parse(&a, argc, argv, &err);
	if (ret == 0)
		ret = apply_config(&a, &err);
	if (ret)
		status = ret > 0 ? PMF_EXIT_OK : pmf_cli_fail(PMF_EXIT_FAILED, &err);
	else if (!a.target && a.command[0] && pmf_target_is_all(&a.config, a.command[0]))
		status = pmf_target_run_all(&a.config, argv, (int)(a.command - argv));
	else
		status = run(&a, &err);
	pmf_output_opts_release(&a.output);
	pmf_tree_args_release(&a.tree);
	pmf_target_argv_free(a.target_argv);
	pmf_target_argv_free(a.attached_argv);
	pmf_who_args_release(&a.who);
	pmf_cli_config_release(&a.config);
	free(a.name);
	free(a.plan.specs);
	pmf_target_argv_free(a.varied);
	free(a.settings);
	return status;
}

const struct pmf_cmd pmf_cmd_record = {
	"record",
	"run a command and draw where its events went (the default command)",
	cmd_record,
};
