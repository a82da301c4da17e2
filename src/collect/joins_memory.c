/* A look at the thread that runs: are the frames that a stack is to be joined to still there? A program
 * that calls the same from two places leaves the same words on the stack, but for the return address to
 * the one or the other, which may lie beyond every dump. */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

enum { MAX_READS = 256 }; /* for stacks of many megabytes: the inner part of them must do */

/* Read from the first return address of the frames before @i up to the last that fits; *from gets its
 * address. Returns the bytes read, 0 if there is none left, or -1. */
static ssize_t read_some(struct pmf_joins *j, const struct pmf_join_thread *t, size_t i,
	size_t word_bytes, uint64_t *from)
{
	uint64_t end = 0;

	*from = 0;
	for (; i > 0; i--) {
		uint64_t va = t->frames[i - 1].ra_va;

		if (!va)
			continue;
		if (!*from)
			*from = va;
		else if (va - *from + word_bytes > sizeof j->memory)
			break;
		end = va + word_bytes;
	}
	if (!end)
		return 0;
	return process_vm_readv((pid_t)t->tid, &(struct iovec){j->memory, end - *from}, 1,
		&(struct iovec){(void *)(uintptr_t)*from, end - *from}, 1, 0);
}

bool pmf_joins_in_memory(
	struct pmf_joins *j, const struct pmf_join_thread *t, size_t n, const struct pmf_arch *arch)
{
	size_t bytes = arch->word_bytes, i = n;

	for (size_t reads = 0; reads < MAX_READS; reads++) {
		uint64_t from, word;
		ssize_t got = read_some(j, t, i, bytes, &from);

		if (got == 0)
			return true;
		if (got < 0)
			return errno != EFAULT; /* it has ended, or is none of our business */
		if ((size_t)got < bytes)
			return false;
		for (; i > 0; i--) {
			uint64_t off = t->frames[i - 1].ra_va - from;

			if (!t->frames[i - 1].ra_va)
				continue;
			if (off + bytes > (size_t)got)
				break;
			word = 0;
			memcpy(&word, (const uint8_t *)j->memory + off, bytes);
			if ((word & arch->ip_mask) != t->frames[i - 1].va + 1)
				return false;
		}
	}
	return true;
}
