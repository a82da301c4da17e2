#include "input.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- pprof ---- */

/* Compressed, or the first sample type as every writer has it: field 1, whose own first is 1 or 2. */
static bool sniff_pprof(const struct pmf_input *in)
{
	const uint8_t *h = in->head;

	return (in->head_len >= 2 && h[0] == 0x1f && h[1] == 0x8b) ||
	       (in->head_len >= 4 && h[0] == 0x0a && h[1] < 0x80 && (h[2] == 0x08 || h[2] == 0x10));
}

/* What is read as a whole. */
static int load_bytes(struct pmf_profile *p, const struct pmf_input *in,
	int (*load)(struct pmf_profile *p, const void *data, size_t len, struct pmf_err *err),
	struct pmf_err *err)
{
	enum { MAX_BYTES = 1 << 28 };
	struct pmf_buf bytes = PMF_BUF_INIT;
	int ret;

	if (in->is_stream)
		pmf_buf_add(&bytes, in->head, in->head_len);
	ret = pmf_file_read_fd(in->fd, in->name, MAX_BYTES, &bytes, err);
	if (ret == 0) {
		ret = load(p, pmf_buf_str(&bytes), bytes.len, err);
		if (ret)
			pmf_err_prefix(err, "'%s' cannot be read", in->name);
	}
	pmf_buf_release(&bytes);
	return ret;
}

static int load_pprof(struct pmf_profile *p, const struct pmf_input *in, struct pmf_err *err)
{
	return load_bytes(p, in, pmf_profile_load, err);
}

/* ---- Folded stacks ---- */

/* Text whose first line has several frames, or ends with a count. */
static bool sniff_folded(const struct pmf_input *in)
{
	const char *text = (const char *)in->head;
	size_t end = 0;

	while (end < in->head_len && text[end] != '\n')
		if ((uint8_t)text[end++] < ' ' && text[end - 1] != '\t' && text[end - 1] != '\r')
			return false;
	if (memchr(text, ';', end))
		return true;
	while (end > 0 && text[end - 1] == '\r')
		end--;
	return end > 2 && text[end - 1] >= '0' && text[end - 1] <= '9' && memchr(text, ' ', end);
}

static int load_folded(struct pmf_profile *p, const struct pmf_input *in, struct pmf_err *err)
{
	return load_bytes(p, in, pmf_profile_load_folded, err);
}

/* In the order in which they are asked. */
static const struct pmf_input_kind kinds[] = {
	{"perf.data", pmf_input_is_perf_data, pmf_input_load_perf_data},
	{"pprof", sniff_pprof, load_pprof},
	{"folded stacks", sniff_folded, load_folded},
};

/* ---- Files ---- */

static int read_head(struct pmf_input *in, struct pmf_err *err)
{
	ssize_t n = 1;

	while (n != 0 && in->head_len < sizeof in->head) {
		n = read(in->fd, in->head + in->head_len, sizeof in->head - in->head_len);
		if (n < 0 && errno != EINTR)
			return pmf_err_errno(err, PMF_EIO, errno, "cannot read '%s'", in->name);
		in->head_len += (size_t)PMF_MAX(n, 0);
	}
	if (!in->is_stream && lseek(in->fd, 0, SEEK_SET) < 0)
		return pmf_err_errno(err, PMF_EIO, errno, "cannot read '%s'", in->name);
	return 0;
}

static int open_input(struct pmf_input *in, const char *path, struct pmf_err *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct stat st;

	in->name = is_stdin ? "standard input" : path;
	in->fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
			  : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (in->fd < 0)
		return pmf_err_errno(
			err, pmf_status_of_errno(errno), errno, "cannot open '%s'", in->name);
	if (fstat(in->fd, &st) == 0 && S_ISDIR(st.st_mode))
		return pmf_err_set(err, PMF_EFORMAT,
			"'%s' is a folder, no profile; if 'perf record --threads' made it, record "
			"without --threads",
			path);
	in->is_stream = lseek(in->fd, 0, SEEK_SET) < 0;
	return read_head(in, err);
}

static int unknown_kind(const struct pmf_input *in, struct pmf_err *err)
{
	struct pmf_buf names = PMF_BUF_INIT;

	if (in->head_len == 0)
		return pmf_err_set(err, PMF_EFORMAT, "'%s' is empty", in->name);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds); i++)
		pmf_buf_printf(&names, "%s%s", i ? ", " : "", kinds[i].name);
	pmf_err_set(err, PMF_EFORMAT, "'%s' is no profile that pmuflame knows (%s)", in->name,
		pmf_buf_str(&names));
	pmf_buf_release(&names);
	return PMF_EFORMAT;
}

static int load_one(struct pmf_profile *p, const char *path, const struct pmf_input_opts *opts,
	struct pmf_err *err)
{
	struct pmf_input in = {.opts = opts};
	int ret = open_input(&in, path, err);
	size_t i = 0;

	if (ret == 0) {
		while (i < PMF_ARRAY_SIZE(kinds) && !kinds[i].sniff(&in))
			i++;
		if (i == PMF_ARRAY_SIZE(kinds))
			ret = unknown_kind(&in, err);
		else
			ret = kinds[i].load(p, &in, err);
	}
	if (in.fd >= 0)
		close(in.fd);
	return ret;
}

int pmf_input_load(struct pmf_profile *p, char *const *paths, size_t n,
	const struct pmf_input_opts *opts, struct pmf_err *err)
{
	static const struct pmf_input_opts defaults;
	int ret;

	opts = opts ? opts : &defaults;
	ret = load_one(p, paths[0], opts, err);
	for (size_t i = 1; i < n && ret == 0; i++) {
		struct pmf_profile next;

		ret = load_one(&next, paths[i], opts, err);
		if (ret) {
			pmf_profile_release(p);
			return ret;
		}
		pmf_profile_merge(p, &next);
		pmf_profile_release(&next);
	}
	if (ret == 0 && n > 1)
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"%zu profiles are added up here: counts, samples, times and losses are their "
			"sums, the start is the earliest",
			n);
	return ret;
}

char *pmf_input_stem(char *const *paths, size_t n, const char *title)
{
	static const char *const nameless[] = {"-", "perf.data", "perf.data.old"};
	static const char *const suffixes[] = {
		".old", ".gz", ".pb", ".pprof", ".data", ".perf", ".folded"};
	const char *slash = strrchr(paths[0], '/'), *base = slash ? slash + 1 : paths[0];
	char *stem;

	if (n > 1)
		return pmf_strdup("merged");
	for (size_t i = 0; i < PMF_ARRAY_SIZE(nameless) && title; i++)
		if (strcmp(base, nameless[i]) == 0)
			return pmf_strdup(title);
	if (strcmp(base, "-") == 0)
		return pmf_strdup("profile");
	stem = pmf_strdup(base);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(suffixes); i++) {
		size_t len = strlen(stem), cut = strlen(suffixes[i]);

		if (len > cut && strcmp(stem + len - cut, suffixes[i]) == 0)
			stem[len - cut] = '\0';
	}
	return stem;
}
