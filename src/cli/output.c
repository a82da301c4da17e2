#include "output.h"

#include "pmuflame/file.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void pmf_output_opts_release(struct pmf_output_opts *o)
{
	free(o->name);
	free(o->prefix);
	free(o->prev_prefix);
	pmf_code_args_release(&o->code);
	memset(o, 0, sizeof *o);
}

void pmf_output_list_release(struct pmf_output_list *l)
{
	pmf_free_strings(l->paths, l->n);
	memset(l, 0, sizeof *l);
}

static int unknown_format(const char *name, int len, struct pmf_err *err)
{
	struct pmf_buf names = PMF_BUF_INIT;
	const struct pmf_renderer *const *all;
	size_t n;

	all = pmf_renderers(&n);
	for (size_t i = 0; i < n; i++)
		pmf_buf_printf(&names, "%s%s", i ? ", " : "", all[i]->name);
	pmf_err_set(err, PMF_EUSAGE, "format '%.*s' is none of %s", len, name, pmf_buf_str(&names));
	pmf_buf_release(&names);
	return PMF_EUSAGE;
}

static void add_format(struct pmf_output_opts *o, const struct pmf_renderer *r)
{
	for (size_t i = 0; i < o->nr_formats; i++)
		if (o->formats[i] == r)
			return;
	if (o->nr_formats < PMF_OUTPUT_MAX_FORMATS)
		o->formats[o->nr_formats++] = r;
}

int pmf_output_formats(struct pmf_output_opts *o, const char *list, struct pmf_err *err)
{
	o->nr_formats = 0;
	for (;;) {
		size_t len = strcspn(list, ",");
		const struct pmf_renderer *r = pmf_renderer_by_name(list, len);

		if (!r)
			return unknown_format(list, (int)len, err);
		add_format(o, r);
		if (!list[len])
			return 0;
		list += len + 1;
	}
}

/* "PREFIX.EVENT.SUFFIX", or "PREFIX.SUFFIX" for what holds all events. */
static char *file_path(const char *prefix, const char *event, const struct pmf_renderer *r)
{
	return r->per_event ? pmf_asprintf("%s.%s.%s", prefix, event, r->suffix)
			    : pmf_asprintf("%s.%s", prefix, r->suffix);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int find_prefix(struct pmf_output_opts *o, struct pmf_err *err)
{
	size_t len = o->path ? strlen(o->path) : 0;
	int ret;

	if (o->path && len == 0)
		return pmf_err_set(err, PMF_EUSAGE, "-o needs a folder or a prefix for file names");
	if (o->path && o->path[len - 1] != '/' && !is_folder(o->path)) {
		o->prefix = pmf_strdup(o->path);
		return 0;
	}
	o->made_folder = o->path && !is_folder(o->path);
	ret = o->made_folder ? pmf_outfolder_make(o->path, err) : 0;
	if (ret)
		return ret;
	o->prefix = pmf_asprintf("%s%s%s", o->path ? o->path : "",
		len && o->path[len - 1] != '/' ? "/" : "", o->name);
	if (o->is_run)
		o->prev_prefix = pmf_asprintf("%s.prev", o->prefix);
	return 0;
}

static bool same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

static int check_path(const struct pmf_output_opts *o, const char *path, struct pmf_err *err)
{
	for (size_t i = 0; i < o->nr_inputs; i++)
		if (same_file(path, o->inputs[i]))
			return pmf_err_set(err, PMF_EUSAGE,
				"'%s' would be overwritten, and is read: choose another place with -o",
				path);
	return pmf_outfile_probe(path, err);
}

int pmf_output_prepare(struct pmf_output_opts *o, char *const *events, size_t nr_events,
	const char *summary_path, struct pmf_err *err)
{
	int ret = find_prefix(o, err);

	if (o->nr_formats == 0) {
		add_format(o, pmf_renderer_by_name("svg", 3));
		if (nr_events > 1)
			add_format(o, pmf_renderer_by_name("html", 4));
	}
	if (o->is_run)
		add_format(o, pmf_renderer_by_name("pprof", 5));
	for (size_t i = 0; i < o->nr_formats && ret == 0; i++) {
		size_t n = o->formats[i]->per_event ? nr_events : 1;

		for (size_t e = 0; e < n && ret == 0; e++) {
			char *path = file_path(o->prefix, events[e], o->formats[i]);

			ret = check_path(o, path, err);
			free(path);
		}
	}
	if (ret == 0 && summary_path)
		ret = pmf_outfile_probe(summary_path, err);
	return ret;
}

void pmf_output_undo(const struct pmf_output_opts *o)
{
	if (o->made_folder)
		rmdir(o->path);
}

static int write_one(const struct pmf_tree *t, const struct pmf_output_opts *o,
	const struct pmf_renderer *r, size_t e, const struct pmf_render_opts *picture,
	struct pmf_output_list *written, struct pmf_err *err)
{
	const char *event = t->profile->events[e].file_name;
	char *path = file_path(o->prefix, event, r);
	struct pmf_outfile of;
	int ret = pmf_outfile_open(&of, path, err);

	if (ret == 0) {
		ret = r->render(of.f, t, e, picture, err);
		if (ret) {
			pmf_outfile_abort(&of);
		} else {
			if (o->prev_prefix) {
				char *prev = file_path(o->prev_prefix, event, r);

				/* The first run has no run before it. The new one counts for more
				 * than the old. */
				if (rename(path, prev) < 0 && errno != ENOENT)
					pmf_warn("warning: cannot keep the run before as '%s': %s",
						prev, strerror(errno));
				free(prev);
			}
			ret = pmf_outfile_commit(&of, err);
		}
	}
	if (ret == 0)
		PMF_PUSH(written->paths, written->n, written->cap) = path;
	else
		free(path);
	return ret;
}

int pmf_output_write(const struct pmf_tree *t, const struct pmf_output_opts *o,
	struct pmf_output_list *written, struct pmf_err *err)
{
	struct pmf_code_files *files = pmf_code_files_new(&o->code, t->profile);
	struct pmf_code_reader code = {pmf_code_files_get, files};
	struct pmf_render_opts picture = o->picture;
	int first = 0;

	/* A file that may not grow (ulimit -f) is a write that fails. */
	signal(SIGXFSZ, SIG_IGN);
	picture.code = o->code.none ? NULL : &code;
	for (size_t i = 0; i < o->nr_formats; i++) {
		size_t n = o->formats[i]->per_event ? t->profile->nr_events : 1;

		for (size_t e = 0; e < n; e++) {
			int ret = write_one(
				t, o, o->formats[i], e, &picture, written, first ? NULL : err);

			first = first ? first : ret;
		}
	}
	pmf_code_files_free(files);
	return first;
}

void pmf_output_remove(const struct pmf_output_opts *o, const struct pmf_profile *p)
{
	for (size_t i = 0; i < o->nr_formats; i++) {
		size_t n = o->formats[i]->per_event ? p->nr_events : 1;

		for (size_t e = 0; e < n; e++) {
			char *path = file_path(o->prefix, p->events[e].file_name, o->formats[i]);

			unlink(path);
			free(path);
		}
	}
}

void pmf_output_add_quoted(struct pmf_buf *out, const char *arg)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "@%+=:,./-_^";
	const char *home = getenv("HOME");
	size_t len = home ? strlen(home) : 0;

	if (len > 1 && strncmp(arg, home, len) == 0 && (arg[len] == '/' || !arg[len])) {
		pmf_buf_addch(out, '~');
		arg += len;
		if (!*arg)
			return;
	}
	if (*arg && arg[strspn(arg, plain)] == '\0') {
		pmf_buf_addstr(out, arg);
		return;
	}
	pmf_buf_addshell(out, arg);
}

char *pmf_output_quote_command(char *const *argv)
{
	struct pmf_buf out = PMF_BUF_INIT;

	for (size_t i = 0; argv[i]; i++) {
		if (i)
			pmf_buf_addch(&out, ' ');
		pmf_output_add_quoted(&out, argv[i]);
	}
	return pmf_buf_detach(&out);
}

char *pmf_output_shown_command(const char *script, char *const *words)
{
	char *args, *all;

	if (!script)
		return pmf_output_quote_command(words);
	args = pmf_output_quote_command(words + 1);
	all = pmf_asprintf("%s%s%s", script, *args ? " " : "", args);
	free(args);
	return all;
}
