/* pmuflame sweep [options] COMMAND|TARGET|all [ARG...] */
#include "cli.h"
#include "output.h"
#include "sweep_steps.h"
#include "target_name.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void name_folder(struct pmf_sweeping *s)
{
	bool all = pmf_target_is_all(&s->config, s->args.words[0]);
	char *name;
	size_t len;

	if (s->args.path) {
		s->folder = pmf_strdup(s->args.path);
		for (len = strlen(s->folder); len > 1 && s->folder[len - 1] == '/'; len--)
			s->folder[len - 1] = '\0';
	} else {
		name = pmf_target_file_name(all ? "all" : s->plan.cases[0].label);
		s->folder = pmf_asprintf("%s.sweep", name);
		free(name);
	}
	s->runs = pmf_asprintf("%s/runs", s->folder);
}

/* Only one sweep at a time, for as long as this process lives. */
static int lock_folder(struct pmf_sweeping *s, struct pmf_err *err)
{
	s->folder_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->folder_fd < 0)
		return pmf_err_errno(err, pmf_status_of_errno(errno), errno,
			"cannot open the folder '%s'", s->folder);
	if (flock(s->folder_fd, LOCK_EX | LOCK_NB) < 0)
		return pmf_err_set(err, PMF_EUSAGE,
			"another sweep is at work in '%s': wait for it, or name another folder (-o)",
			s->folder);
	return 0;
}

static int new_plan(struct pmf_sweeping *s, const char *path, struct pmf_err *err)
{
	/* Without its plan as well: a sweep that goes on takes every run that it finds for its own. */
	if (pmf_sweep_has_runs(s))
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' holds a sweep: go on with it (--resume), or name another folder (-o)",
			s->folder);
	for (size_t i = 0; i < s->plan.nr_sets; i++)
		pmf_sweep_pack(&s->plan.sets[i], &s->result);
	return pmf_sweep_plan_save(&s->plan, path, err);
}

/* The folder, and the passes: by trial, or those that the sweep began with. */
static int prepare(struct pmf_sweeping *s, struct pmf_err *err)
{
	struct stat st;
	char *path;
	int ret;

	name_folder(s);
	ret = s->args.resume ? 0 : pmf_outfolder_make(s->folder, err);
	if (ret == 0)
		ret = lock_folder(s, err);
	/* Whoever may write there must not lead us to where only we may. */
	if (ret == 0 && lstat(s->runs, &st) == 0 && !S_ISDIR(st.st_mode))
		ret = pmf_err_set(err, PMF_EUSAGE,
			"'%s' is no folder, or a link to one elsewhere: remove it, or name another "
			"folder (-o)",
			s->runs);
	if (ret)
		return ret;
	path = pmf_asprintf("%s/plan.json", s->folder);
	ret = s->args.resume ? pmf_sweep_plan_resume(&s->plan, path, err) : new_plan(s, path, err);
	if (ret == 0 && stat(path, &st) == 0)
		s->result.start_unix_ns =
			(uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	free(path);
	return ret ? ret : pmf_outfolder_make(s->runs, err);
}

static void warn_about_skipped(const struct pmf_sweep_result *r)
{
	for (size_t i = 0; i < r->nr_skipped; i++) {
		struct pmf_buf names = PMF_BUF_INIT;

		if (pmf_sweep_skipped_alike(r, i, &names))
			pmf_warn("not measured here: %s: %s", pmf_buf_str(&names),
				r->skipped[i].why);
		pmf_buf_release(&names);
	}
}

static void say_how_to_resume(const struct pmf_sweeping *s, size_t all)
{
	char *command = pmf_output_quote_command(s->args.argv + 1);

	pmf_log(PMF_LOG_QUIET, "stopped after %zu of %zu runs; to go on: pmuflame sweep %s%s",
		s->finished, all, s->args.resume ? "" : "--resume ", command);
	free(command);
}

/* What the runs so far say, in files and on standard output. */
static int finish(struct pmf_sweeping *s, struct pmf_err *err)
{
	size_t all = pmf_sweep_plan_runs(&s->plan);
	struct pmf_buf table = PMF_BUF_INIT;
	int ret = 0, ret2;

	pmf_sweep_drift(&s->result);
	if (s->stopped_by)
		pmf_sweep_note(&s->result, "stopped after %zu of %zu runs", s->finished, all);
	if (s->finished) {
		ret = pmf_sweep_save(&s->result, s->folder, err);
		ret2 = pmf_sweep_draw(s, ret ? NULL : err);
		ret = ret ? ret : ret2;
		pmf_sweep_markdown(&s->result, &table);
	}
	if (!s->args.quiet)
		fputs(pmf_buf_str(&table), stdout);
	pmf_buf_release(&table);
	if (ret == 0)
		ret = pmf_cli_flush(err);
	if (s->stopped_by)
		say_how_to_resume(s, all);
	else if (s->finished)
		pmf_warn("report, flame graphs, profiles and summaries are in %s/", s->folder);
	return ret;
}

static int status_of(const struct pmf_sweeping *s)
{
	size_t all = pmf_sweep_plan_runs(&s->plan);

	if (s->stopped_by)
		return 128 + s->stopped_by;
	if (s->finished == 0)
		return pmf_cli_failf(PMF_EXIT_FAILED, "none of %zu runs succeeded", all);
	return s->finished < all || (s->args.strict && s->result.nr_skipped) ? PMF_EXIT_NO
									     : PMF_EXIT_OK;
}

static int sweep(struct pmf_sweeping *s, struct pmf_err *err)
{
	int ret = pmf_cli_config_load(&s->config, err), ret2;

	if (ret == 0)
		ret = pmf_sweep_cases(s, err);
	if (ret == 0)
		ret = prepare(s, err);
	if (ret)
		return pmf_cli_status(ret, err);
	warn_about_skipped(&s->result);
	if (pmf_sweep_plan_runs(&s->plan) == 0)
		return pmf_cli_failf(PMF_EXIT_FAILED, "no event can be measured here");
	ret = pmf_sweep_run(s, err);
	ret2 = finish(s, ret ? NULL : err);
	if (ret || ret2)
		return pmf_cli_fail(PMF_EXIT_FAILED, err);
	return status_of(s);
}

static int run(int argc, char **argv)
{
	struct pmf_sweeping s = {.folder_fd = -1};
	struct pmf_err err = PMF_ERR_INIT;
	int ret = pmf_sweep_args_parse(&s.args, argc, argv, &err), status;

	status = ret ? pmf_cli_status(PMF_MIN(ret, 0), &err) : sweep(&s, &err);
	if (s.folder_fd >= 0)
		close(s.folder_fd);
	pmf_sweep_release(&s.result);
	pmf_sweep_plan_release(&s.plan);
	pmf_cli_config_release(&s.config);
	pmf_sweep_args_release(&s.args);
	free(s.folder);
	free(s.runs);
	return status;
}

const struct pmf_cmd pmf_cmd_sweep = {
	"sweep",
	"count many events in many runs, and say how sure the numbers are",
	run,
};
