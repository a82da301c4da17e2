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

static int load_pprof(struct pmf_profile *p, const struct pmf_input *in, struct pmf_err *err)
{
	enum { MAX_BYTES = 1 << 28 };
	struct pmf_buf bytes = PMF_BUF_INIT;
	int ret = pmf_file_read_fd(in->fd, in->name, MAX_BYTES, &bytes, err);

	if (ret == 0) {
		ret = pmf_profile_load(p, pmf_buf_str(&bytes), bytes.len, err);
		if (ret)
			pmf_err_prefix(err, "'%s' cannot be read", in->name);
	}
	pmf_buf_release(&bytes);
	return ret;
}

/* In the order in which they are asked. */
static const struct pmf_input_kind kinds[] = {
	{"pprof", sniff_pprof, load_pprof},
};

/* ---- Files ---- */

/* What cannot be read twice goes to a file without a name. */
static int spool(struct pmf_input *in, struct pmf_err *err)
{
	FILE *f = tmpfile();
	char chunk[65536];
	ssize_t n = 0;

	if (!f)
		return pmf_err_errno(err, PMF_EIO, errno, "cannot make a file for %s", in->name);
	while ((n = read(in->fd, chunk, sizeof chunk)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || fwrite(chunk, 1, (size_t)n, f) != (size_t)n)
			break;
	}
	if (n != 0 || fflush(f) != 0) {
		pmf_err_errno(err, PMF_EIO, errno, "cannot copy %s to a file", in->name);
		fclose(f);
		return PMF_EIO;
	}
	close(in->fd);
	in->fd = fcntl(fileno(f), F_DUPFD_CLOEXEC, 0);
	fclose(f);
	return in->fd < 0 ? pmf_err_errno(err, PMF_ELIMIT, errno, "cannot read %s", in->name) : 0;
}

static int open_input(struct pmf_input *in, const char *path, struct pmf_err *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct stat st;
	ssize_t n;
	int ret = 0;

	*in = (struct pmf_input){.name = is_stdin ? "standard input" : path};
	in->fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
			  : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (in->fd < 0)
		return pmf_err_errno(
			err, pmf_status_of_errno(errno), errno, "cannot open '%s'", in->name);
	if (fstat(in->fd, &st) == 0 && S_ISDIR(st.st_mode))
		return pmf_err_set(err, PMF_EUSAGE, "'%s' is a folder, no profile", path);
	if (lseek(in->fd, 0, SEEK_SET) < 0)
		ret = spool(in, err);
	if (ret)
		return ret;
	if (fstat(in->fd, &st) == 0)
		in->bytes = st.st_size;
	n = pread(in->fd, in->head, sizeof in->head, 0);
	if (n < 0 || lseek(in->fd, 0, SEEK_SET) < 0)
		return pmf_err_errno(err, PMF_EIO, errno, "cannot read '%s'", in->name);
	in->head_len = (size_t)n;
	return 0;
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

static int load_one(struct pmf_profile *p, const char *path, struct pmf_err *err)
{
	struct pmf_input in;
	int ret = open_input(&in, path, err);
	size_t i = 0;

	if (ret == 0) {
		while (i < PMF_ARRAY_SIZE(kinds) && !kinds[i].sniff(&in))
			i++;
		ret = i < PMF_ARRAY_SIZE(kinds) ? kinds[i].load(p, &in, err)
						: unknown_kind(&in, err);
	}
	if (in.fd >= 0)
		close(in.fd);
	return ret;
}

int pmf_input_load(struct pmf_profile *p, char *const *paths, size_t n, struct pmf_err *err)
{
	int ret = load_one(p, paths[0], err);

	for (size_t i = 1; i < n && ret == 0; i++) {
		struct pmf_profile next;

		ret = load_one(&next, paths[i], err);
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

char *pmf_input_stem(char *const *paths, size_t n)
{
	static const char *const suffixes[] = {".gz", ".pb", ".pprof", ".data", ".folded"};
	const char *slash = strrchr(paths[0], '/');
	char *stem;

	if (n > 1)
		return pmf_strdup("merged");
	if (strcmp(paths[0], "-") == 0)
		return pmf_strdup("profile");
	stem = pmf_strdup(slash ? slash + 1 : paths[0]);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(suffixes); i++) {
		size_t len = strlen(stem), cut = strlen(suffixes[i]);

		if (len > cut && strcmp(stem + len - cut, suffixes[i]) == 0)
			stem[len - cut] = '\0';
	}
	return stem;
}
