/* The kernel's functions, from /proc/kallsyms: "ADDRESS TYPE NAME[\t[MODULE]]", sorted within the
 * kernel and within each module only (proc(5), nm(1) for the types). */
#include "symbol_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LINE_BYTES = 2048, /* names have at most 511 (KSYM_NAME_LEN) */
	DATA = UINT16_MAX, /* module of what only ends the function before it */
	PAGE = 4096,
	READ_BYTES = 65536,
};

/* The hexadecimal number at *@s, which moves behind it: strtoull(3) was a tenth of the time to the
 * first flame graph. */
static uint64_t take_hex(char **s)
{
	uint64_t n = 0;

	for (;; (*s)++) {
		char c = **s;

		if (c >= '0' && c <= '9')
			n = n << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			n = n << 4 | (uint64_t)(c - 'a' + 10);
		else
			return n;
	}
}

/* On x86 the handlers of a system call without arguments are one function: its 64-bit name is the
 * one that callers know. */
static unsigned base_rank(char type, const char *name)
{
	if (strchr("wW", type) || (type == 'T' && strncmp(name, "__ia32_", 7) == 0))
		return PMF_SYM_WEAK;
	return type == 'T' ? 0 : PMF_SYM_LOCAL;
}

/* A symbol whose address is asked for. */
struct ref {
	const char *name;
	uint64_t *va;
};

static void add_line(struct pmf_symtab *t, struct pmf_buf *names, const struct ref *ref, char *line)
{
	char *p = line, *name, *module, type;
	uint64_t addr = take_hex(&p);
	uint16_t id = 0;

	if (!addr || p[0] != ' ' || !p[1] || p[2] != ' ' || !p[3])
		return;
	type = p[1];
	name = p + 3;
	module = name + strcspn(name, "\t \n");
	if (*module)
		*module++ = '\0';
	module += strspn(module, "\t ");
	module[strcspn(module, "\n")] = '\0';
	if (ref->name && !module[0] && strcmp(name, ref->name) == 0)
		*ref->va = addr;
	if (module[0] == '[')
		id = (uint16_t)PMF_MIN(pmf_strtab_addz(&t->modules, module), (uint32_t)DATA - 1);
	if (!strchr("tTwW", type))
		id = DATA;
	if (names->len >= UINT32_MAX - LINE_BYTES)
		return;
	PMF_PUSH(t->syms, t->n, t->cap) = (struct pmf_sym){
		.start = addr,
		.name = (uint32_t)names->len,
		.module = id,
		.rank = pmf_sym_rank(name, base_rank(type, name), 0),
	};
	if (id != DATA)
		pmf_buf_add(names, name, strlen(name) + 1);
}

/* Functions end where the next symbol starts; the last before a gap, at the end of the next
 * page. */
static void give_sizes(struct pmf_symtab *t)
{
	size_t n = 0;

	pmf_symtab_sort(t);
	for (size_t i = 0, next = 0; i < t->n; i++) {
		struct pmf_sym s = t->syms[i];
		uint64_t page_end = (s.start + 2 * PAGE - 1) & ~(uint64_t)(PAGE - 1),
			 end = page_end;

		for (next = PMF_MAX(next, i); next < t->n && t->syms[next].start == s.start;)
			next++;
		if (s.module == DATA)
			continue;
		if (next < t->n && (t->syms[next].module == s.module || t->syms[next].start < end))
			end = t->syms[next].start;
		s.size = (uint32_t)PMF_MIN(end - s.start, UINT32_MAX);
		t->syms[n++] = s;
	}
	t->n = n;
}

int pmf_kallsyms_read(struct pmf_symtab *t, const char *path, const char *ref, uint64_t *ref_va,
	struct pmf_err *err)
{
	struct ref wanted = {ref, ref_va};
	struct pmf_buf names = PMF_BUF_INIT;
	FILE *f = fopen(path, "re");
	char line[LINE_BYTES], *buffer;
	bool any = false;
	size_t len;

	if (!f)
		return pmf_err_errno(err, pmf_status_of_errno(errno), errno,
			"kernel functions stay without names: cannot open '%s'", path);
	buffer = pmf_malloc(READ_BYTES);
	/* By itself stdio reads 1 KiB at a time here. */
	setvbuf(f, buffer, _IOFBF, READ_BYTES);
	while (fgets(line, sizeof line, f)) {
		any = true;
		add_line(t, &names, &wanted, line);
	}
	fclose(f);
	free(buffer);
	len = names.len;
	pmf_symtab_add_blob(t, pmf_buf_detach(&names), len);
	give_sizes(t);
	pmf_symtab_seal(t);
	if (t->n)
		return 0;
	if (!any)
		return pmf_err_set(err, PMF_EUNSUP,
			"kernel functions stay without names: '%s' is empty, for this kernel was "
			"built without CONFIG_KALLSYMS",
			path);
	return pmf_err_set(err, PMF_EPERM,
		"kernel functions stay without names, for '%s' hides their addresses: run as root, "
		"or allow it with `sysctl kernel.kptr_restrict=0 kernel.perf_event_paranoid=1`",
		path);
}
