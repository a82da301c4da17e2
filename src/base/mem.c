#include "pmuflame/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARENA_ALIGN = 16, ARENA_BLOCK = 64 * 1024, EXIT_FAILED = 125 };

struct pmf_arena_block {
	struct pmf_arena_block *next;
	_Alignas(ARENA_ALIGN) uint8_t data[];
};

static void out_of_memory(void)
{
	static const char text[] = "pmuflame: out of memory\n";

	if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
		_exit(EXIT_FAILED);
	_exit(EXIT_FAILED);
}

static void *check(void *p)
{
	if (!p)
		out_of_memory();
	return p;
}

void *pmf_malloc(size_t size)
{
	return check(malloc(size ? size : 1));
}

void *pmf_zalloc(size_t size)
{
	return check(calloc(1, size ? size : 1));
}

void *pmf_calloc(size_t n, size_t size)
{
	return check(calloc(n ? n : 1, size ? size : 1));
}

void *pmf_reallocarray(void *p, size_t n, size_t size)
{
	return check(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *pmf_strdup(const char *s)
{
	return check(strdup(s));
}

char *pmf_strdup_or_null(const char *s)
{
	return s ? pmf_strdup(s) : NULL;
}

char *pmf_strndup(const char *s, size_t len)
{
	return check(strndup(s, len));
}

char *pmf_asprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return check(s);
}

void pmf_free_strings(char **items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(items[i]);
	free(items);
}

void *pmf_grow(void *p, size_t *cap, size_t need, size_t size)
{
	size_t want = *cap ? *cap : 8;

	if (need <= *cap)
		return p;
	while (want < need) {
		if (want > SIZE_MAX / 2)
			out_of_memory();
		want *= 2;
	}
	p = pmf_reallocarray(p, want, size);
	*cap = want;
	return p;
}

void pmf_arena_init(struct pmf_arena *a)
{
	memset(a, 0, sizeof *a);
}

void pmf_arena_release(struct pmf_arena *a)
{
	struct pmf_arena_block *b = a->blocks;

	while (b) {
		struct pmf_arena_block *next = b->next;

		free(b);
		b = next;
	}
	pmf_arena_init(a);
}

void *pmf_arena_alloc(struct pmf_arena *a, size_t size)
{
	uint8_t *p;

	if (size > SIZE_MAX / 2)
		out_of_memory();
	if (size == 0)
		size = 1;
	size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (size > a->left) {
		size_t room = PMF_MAX(size, (size_t)ARENA_BLOCK);
		struct pmf_arena_block *b = pmf_malloc(sizeof *b + room);

		b->next = a->blocks;
		a->blocks = b;
		a->next = b->data;
		a->left = room;
		a->total_bytes += room;
	}
	p = a->next;
	a->next += size;
	a->left -= size;
	return p;
}

char *pmf_arena_strndup(struct pmf_arena *a, const char *s, size_t len)
{
	char *p = pmf_arena_alloc(a, len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}
