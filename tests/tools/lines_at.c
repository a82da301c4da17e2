/* lines_at FILE [DEBUG-ROOT] <ADDRESSES: what pmf_dwarf_find says of each hexadecimal address of a
 * line, as tests/compare_lines.py reads it: "0xADDRESS", then a line "FUNCTION<TAB>FILE:LINE<TAB>
 * DECL-FILE:DECL-LINE" per place, innermost first; "?" and 0 where nothing is known. What it cost goes
 * to stderr. "lines_at -d <NAMES" demangles names as pmf_dwarf_find does. */
#include "pmuflame/dwarf.h"

#include "pmuflame/mem.h"
#include "pmuflame/symbol.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_PLACES = 256 };

static const char *or_unknown(const char *s)
{
	return s ? s : "?";
}

static size_t answer(struct pmf_dwarf *d, uint64_t rva)
{
	struct pmf_line l[MAX_PLACES];
	size_t n = pmf_dwarf_find(d, rva, l, PMF_ARRAY_SIZE(l)), i;

	printf("0x%" PRIx64 "\n", rva);
	for (i = n; i-- > 0;)
		printf("%s\t%s:%" PRIu32 "\t%s:%" PRIu32 "\n", or_unknown(l[i].function),
			or_unknown(l[i].file), l[i].line, or_unknown(l[i].decl_file),
			l[i].decl_line);
	return n;
}

static double cpu_s(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static int demangle(void)
{
	char *line = NULL, *text;
	size_t cap = 0;
	ssize_t len;

	while ((len = getline(&line, &cap, stdin)) > 0) {
		line[len - 1] = '\0';
		text = pmf_symbol_demangle(line);
		puts(text);
		free(text);
	}
	free(line);
	return 0;
}

int main(int argc, char **argv)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_dwarf_opts opts;
	struct pmf_dwarf *d;
	struct rusage u;
	size_t addresses = 0, places = 0;
	char line[64];

	if (argc < 2) {
		fprintf(stderr, "usage: lines_at FILE [DEBUG-ROOT] <ADDRESSES\n");
		return 2;
	}
	if (strcmp(argv[1], "-d") == 0)
		return demangle();
	opts = (struct pmf_dwarf_opts){.fd = open(argv[1], O_RDONLY | O_CLOEXEC),
		.path = argv[1],
		.debug_root = argc > 2 ? argv[2] : NULL};
	d = opts.fd < 0 ? NULL : pmf_dwarf_open(&opts, &err);
	if (!d) {
		fprintf(stderr, "lines_at: %s\n", opts.fd < 0 ? "cannot open the file" : err.text);
		return 1;
	}
	for (; fgets(line, sizeof line, stdin); addresses++)
		places += answer(d, strtoull(line, NULL, 16));
	getrusage(RUSAGE_SELF, &u);
	fprintf(stderr, "%zu addresses, %zu places, %.3f s CPU, %ld MB\n", addresses, places,
		cpu_s(&u), u.ru_maxrss >> 10);
	pmf_dwarf_close(d);
	return 0;
}
