/* Demangling by libiberty, within bounds: a name of a hundred bytes can stand for gigabytes of
 * text, since its parts may refer to each other again and again. */
#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include "pmuflame/symbol.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* libiberty refuses more than 1024 bytes unless its recursion limit is off; recursion is
	 * then bounded by the length, and this much fits the stack of any thread. */
	DEFAULT_INPUT = 1024,
	MAX_INPUT = 4096,
	MAX_OUTPUT = 64 * 1024,
	MAX_D_BACKREFS = 16, /* D's has no callback to stop it; each may double the text */
};

struct text {
	struct pmf_buf buf;
	jmp_buf full;
};

typedef int demangler(const char *name, int options, demangle_callbackref cb, void *ctx);

static void add(const char *s, size_t len, void *ctx)
{
	struct text *t = ctx;

	/* The callback has no other way to end the walk. What libiberty uses is on the stack. */
	if (len > MAX_OUTPUT - t->buf.len)
		longjmp(t->full, 1);
	pmf_buf_add(&t->buf, s, len);
}

static bool run(struct text *t, demangler *fn, const char *name, int options)
{
	pmf_buf_clear(&t->buf);
	if (setjmp(t->full))
		return false;
	return fn(name, options, add, t) && t->buf.len;
}

static size_t count(const char *s, char c)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == c;
	return n;
}

char *pmf_symbol_demangle(const char *name)
{
	size_t len = strlen(name);
	int options = DMGL_PARAMS | DMGL_ANSI | (len > DEFAULT_INPUT ? DMGL_NO_RECURSE_LIMIT : 0);
	struct text t = {.buf = PMF_BUF_INIT};
	char *d;

	if (name[0] != '_' || len > MAX_INPUT)
		return pmf_strdup(name);
	/* Rust first: its legacy names are valid C++ names too, with a hash at the end. */
	if (run(&t, rust_demangle_callback, name, options) ||
		run(&t, cplus_demangle_v3_callback, name, options))
		return pmf_buf_detach(&t.buf);
	pmf_buf_release(&t.buf);
	if (name[1] == 'D' && len <= DEFAULT_INPUT && count(name, 'Q') <= MAX_D_BACKREFS) {
		d = dlang_demangle(name, options);
		if (d)
			return d;
	}
	return pmf_strdup(name);
}
