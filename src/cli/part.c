#include "part.h"

#include "cli.h"
#include "live.h"

#include "pmuflame/clock.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAG_MAX = 40 };

static const char *const kind_names[] = {
	[PMF_PART_SNAPSHOT] = "snapshot", [PMF_PART_INTERVAL] = "interval"};

static void snapshot_tag(char tag[TAG_MAX], unsigned number)
{
	snprintf(tag, TAG_MAX, "snapshot-%u", number);
}

/* Universal time, for that of the place goes back once a year. */
static void interval_tag(char tag[TAG_MAX], uint64_t start_unix_ns)
{
	time_t s = (time_t)(start_unix_ns / UINT64_C(1000000000));
	struct tm tm;

	if (!gmtime_r(&s, &tm) || !strftime(tag, TAG_MAX, "%Y%m%dT%H%M%SZ", &tm))
		snprintf(tag, TAG_MAX, "%" PRIu64, start_unix_ns);
}

/* "out/run.json" becomes "out/run.TAG.json". */
static char *tagged_path(const char *path, const char *tag)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *dot = strrchr(name, '.');
	size_t len = dot && dot > name ? (size_t)(dot - path) : strlen(path);

	return pmf_asprintf("%.*s.%s%s", (int)len, path, tag, path + len);
}

static void tagged_files(struct pmf_part_files *f, const struct pmf_record_args *a, const char *tag)
{
	f->output = a->output;
	f->output.prefix = pmf_asprintf("%s.%s", a->output.prefix, tag);
	f->output.prev_prefix = NULL;
	f->summary_path = a->summary_path ? tagged_path(a->summary_path, tag) : NULL;
}

void pmf_part_files_init(struct pmf_part_files *f, const struct pmf_record_args *a,
	const struct pmf_part *part, const struct pmf_profile *p)
{
	char tag[TAG_MAX];

	if (!part) {
		f->output = a->output;
		f->output.prefix = pmf_strdup(a->output.prefix);
		f->output.prev_prefix = pmf_strdup_or_null(a->output.prev_prefix);
		f->summary_path = pmf_strdup_or_null(a->summary_path);
		return;
	}
	if (part->kind == PMF_PART_SNAPSHOT)
		snapshot_tag(tag, part->number);
	else
		interval_tag(tag, p->start_unix_ns);
	tagged_files(f, a, tag);
}

void pmf_part_files_release(struct pmf_part_files *f)
{
	free(f->output.prefix);
	free(f->output.prev_prefix);
	free(f->summary_path);
}

void pmf_part_expire(
	const struct pmf_record_args *a, const struct pmf_profile *p, uint64_t start_unix_ns)
{
	struct pmf_part_files f;
	char tag[TAG_MAX];

	if (!start_unix_ns)
		return;
	interval_tag(tag, start_unix_ns);
	tagged_files(&f, a, tag);
	pmf_output_remove(&f.output, p);
	if (f.summary_path)
		unlink(f.summary_path);
	pmf_part_files_release(&f);
}

/* The command line for the outputs: of what was started, else of the one process that ran already. */
static char *shown_command(const struct pmf_record_args *a)
{
	const struct pmf_collect_who *who = &a->collect.who;

	if (a->no_command)
		return NULL;
	if (a->command[0])
		return pmf_output_shown_command(a->target ? a->target->command : NULL, a->command);
	return a->attached_argv && who->nr_pids == 1 ? pmf_output_quote_command(a->attached_argv)
						     : NULL;
}

void pmf_part_describe(const struct pmf_record_args *a, struct pmf_profile *p)
{
	p->title = pmf_strdup(a->title ? a->title : a->name);
	p->command = shown_command(a);
}

int pmf_part_write(
	void *ctx, struct pmf_profile *p, const struct pmf_part *part, struct pmf_err *err)
{
	const struct pmf_part_writer *w = ctx;
	struct pmf_collect_result res = *w->res;
	struct pmf_output_list written = {0};
	struct pmf_part_files files;
	struct pmf_tree tree;
	int ret, ret2 = 0;

	res.end_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	pmf_part_files_init(&files, w->args, part, p);
	pmf_part_describe(w->args, p);
	pmf_tree_build(&tree, p, &w->args->tree);
	ret = pmf_output_write(&tree, &files.output, &written, err);
	if (files.summary_path)
		ret2 = pmf_output_summary_json(
			&tree, &written, files.summary_path, -1, &res, ret ? NULL : err);
	pmf_part_expire(w->args, p, part->expired_unix_ns);
	if (*w->live)
		pmf_live_clear();
	if (written.n)
		pmf_log(part->kind == PMF_PART_SNAPSHOT ? PMF_LOG_WARN : PMF_LOG_INFO,
			"%s %u: wrote %s.*", kind_names[part->kind], part->number,
			files.output.prefix);
	pmf_output_list_release(&written);
	pmf_tree_release(&tree);
	pmf_part_files_release(&files);
	return ret ? ret : ret2;
}

void pmf_part_failed(void *ctx, const struct pmf_part *part, const struct pmf_err *why)
{
	const struct pmf_part_writer *w = ctx;

	if (*w->live)
		pmf_live_clear();
	pmf_cli_failf(PMF_EXIT_FAILED, "%s %u is not complete, and the recording goes on: %s",
		kind_names[part->kind], part->number, why->text);
}
