/* A fuzz target without libFuzzer: each file of the folder TARGET's seeds are in is one TAP test. */
#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <dirent.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SEED = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_seed(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Exactly as long as the file, so that a sanitizer sees the first byte behind it. */
static bool replay(const char *folder, const char *name)
{
	char *path = pmf_asprintf("%s/%s", folder, name);
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_buf b = PMF_BUF_INIT;
	bool ok = pmf_file_read(path, MAX_SEED, &b, &err) == 0;
	uint8_t *exact = pmf_malloc(b.len);

	if (ok) {
		memcpy(exact, b.data, b.len);
		LLVMFuzzerTestOneInput(exact, b.len);
	} else {
		printf("# %s\n", err.text);
	}
	free(exact);
	free(path);
	pmf_buf_release(&b);
	return ok;
}

int main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir");
	char *folder = pmf_asprintf(
		"%s/tests/fuzz/seeds/%s", srcdir ? srcdir : ".", argc > 0 ? basename(argv[0]) : "");
	struct dirent **seeds;
	int n = scandir(folder, &seeds, is_seed, alphasort), failed = 0;

	if (n <= 0) {
		printf("Bail out! no seeds in %s\n", folder);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		bool ok = replay(folder, seeds[i]->d_name);

		printf("%sok %d - %s\n", ok ? "" : "not ", i + 1, seeds[i]->d_name);
		failed += !ok;
		free(seeds[i]);
	}
	printf("1..%d\n", n);
	free(seeds);
	free(folder);
	return failed > 0;
}
