/* pmuflame/mem.h - allocation that cannot return NULL, and arenas.
 * Layer: base. Threads: an arena belongs to one thread at a time. */
#ifndef PMUFLAME_MEM_H
#define PMUFLAME_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is this built with a sanitizer of memory, which needs memory, files and system calls of its own? */
#if defined(__SANITIZE_ADDRESS__)
#define PMF_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PMF_SANITIZED 1
#endif
#endif
#ifndef PMF_SANITIZED
#define PMF_SANITIZED 0
#endif

/* Each of these returns memory or ends the program with one sentence and status 125: a size that
 * comes from outside is checked against a limit before it is asked for, so running out here means
 * that the machine is out of memory. Free with free(3). */
void *pmf_malloc(size_t size);
void *pmf_zalloc(size_t size);
void *pmf_calloc(size_t n, size_t size);
void *pmf_reallocarray(void *p, size_t n, size_t size);
char *pmf_strdup(const char *s);
char *pmf_strdup_or_null(const char *s); /* NULL of NULL */
char *pmf_strndup(const char *s, size_t len);
char *pmf_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Keep @bytes, or what of them there is, for when memory runs out: the first allocation that fails has them back. Only address space, as
 * long as nothing fails. */
void pmf_mem_reserve(size_t bytes);
/* It ran out: what is kept from now on had better be little. */
bool pmf_mem_is_low(void);
/* It did, or can do so before the machine's has: by RLIMIT_AS or RLIMIT_DATA (setrlimit(2)), or because the
 * kernel grants only what it has (proc(5), overcommit_memory). */
bool pmf_mem_is_limited(void);
/* Somebody waits for this process, and tries with less where it fails: end by SIGKILL and without a word
 * where memory runs out, which is how the kernel does it, too. */
void pmf_mem_fail_silently(void);

/* The @n strings of a list, and the list. */
void pmf_free_strings(char **items, size_t n);

/* Grow @p (of *@cap elements of @size bytes) so that at least @need fit; the growth is
 * geometric. */
void *pmf_grow(void *p, size_t *cap, size_t need, size_t size);

#define PMF_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PMF_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PMF_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Append one element to an array field trio: PMF_PUSH(list->items, list->n, list->cap) = item; */
#define PMF_PUSH(items, n, cap) \
	(*(((n) == (cap) ? (void)((items) = pmf_grow((items), &(cap), (n) + 1, sizeof *(items))) \
			 : (void)0), \
		&(items)[(n)++]))

/* An arena: allocations that live and die together. Aligned to 16 bytes. */
struct pmf_arena {
	struct pmf_arena_block *blocks;
	uint8_t *next;
	size_t left;
	size_t total_bytes; /* handed to blocks so far */
};

void pmf_arena_init(struct pmf_arena *a);
void pmf_arena_release(struct pmf_arena *a);
void *pmf_arena_alloc(struct pmf_arena *a, size_t size);
char *pmf_arena_strndup(struct pmf_arena *a, const char *s, size_t len);

#endif
