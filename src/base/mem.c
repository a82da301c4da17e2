#include "pmuflame/mem.h"

#include "pmuflame/file.h"
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ARENA_ALIGN = 16, ARENA_BLOCK = 64 * 1024, EXIT_FAILED = 125 };

struct pmf_arena_block {
	struct pmf_arena_block *next;
	_Alignas(ARENA_ALIGN) uint8_t data[];
};

/* Globals, because allocations have no other state to look at. */
static void *_Atomic reserve;
static atomic_bool low, silent;

void pmf_mem_reserve(size_t bytes)
{
	void *kept = NULL;

	/* Else each thread takes 64 MiB of address space to have its own small blocks in. */
	if (pmf_mem_is_limited())
		mallopt(M_ARENA_MAX, 1);
	while (bytes && !(kept = malloc(bytes)))
		bytes /= 2;
	free(atomic_exchange(&reserve, kept));
}

bool pmf_mem_is_low(void)
{
	return atomic_load_explicit(&low, memory_order_relaxed);
}

bool pmf_mem_is_limited(void)
{
	enum { NEVER_OVERCOMMIT = 2 };
	struct rlimit space, data;
	long long overcommit;

	return pmf_mem_is_low() ||
	       (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) ||
	       (getrlimit(RLIMIT_DATA, &data) == 0 && data.rlim_cur != RLIM_INFINITY) ||
	       (pmf_file_read_s64("/proc/sys/vm/overcommit_memory", &overcommit, NULL) == 0 &&
		       overcommit == NEVER_OVERCOMMIT);
}

void pmf_mem_fail_silently(void)
{
	atomic_store(&silent, true);
}

/* An allocation failed: give back what was kept for that. Another thread may just have done so, hence each
 * is tried twice. */
static void make_room(void)
{
	void *kept = atomic_exchange(&reserve, NULL);

	if (kept)
		atomic_store(&low, true);
	free(kept);
}

static void out_of_memory(void)
{
	static const char text[] =
		"pmuflame: out of memory: the limit (ulimit -v) is too low, or the machine too small\n";

	if (atomic_load(&silent))
		raise(SIGKILL);
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

/* What @allocation gives, or the end. */
#define GET(allocation) check((allocation) ?: (make_room(), (allocation)))

void *pmf_malloc(size_t size)
{
	return GET(malloc(size ? size : 1));
}

void *pmf_zalloc(size_t size)
{
	return GET(calloc(1, size ? size : 1));
}

void *pmf_calloc(size_t n, size_t size)
{
	return GET(calloc(n ? n : 1, size ? size : 1));
}

void *pmf_reallocarray(void *p, size_t n, size_t size)
{
	return GET(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *pmf_strdup(const char *s)
{
	return GET(strdup(s));
}

char *pmf_strdup_or_null(const char *s)
{
	return s ? pmf_strdup(s) : NULL;
}

char *pmf_strndup(const char *s, size_t len)
{
	return GET(strndup(s, len));
}

static char *format(const char *fmt, va_list ap)
{
	char *s;
	va_list copy;
	int n;

	va_copy(copy, ap);
	n = vasprintf(&s, fmt, copy);
	va_end(copy);
	return n < 0 ? NULL : s;
}

char *pmf_asprintf(const char *fmt, ...)
{
	char *s;
	va_list ap;

	va_start(ap, fmt);
	s = GET(format(fmt, ap));
	va_end(ap);
	return s;
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
