/* Stack pages that nothing has touched yet: below a large local array, say. The kernel copies a
 * stack without taking page faults (arch_perf_out_copy_user), so a dump ends at the first such
 * page, and every sample of the function loses its callers. To read a byte of the page makes it
 * present: the program does not see that, its own first write faults as before, and the next dump
 * is whole.
 */
#include "collect_priv.h"

#include <sys/uio.h>
#include <unistd.h>

enum { RETRY_NS = 10000000, MAX_PAGES = 64 };

void pmf_holes_fill(struct pmf_holes *h, const struct pmf_record *rec, uint64_t sp)
{
	const struct pmf_sample *smp = &rec->sample;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), va = sp + smp->stack_bytes,
		 hash = pmf_hash_u64(va ^ (uint64_t)rec->tid << 48);
	struct pmf_hole *last = &h->last[hash % PMF_ARRAY_SIZE(h->last)];
	struct iovec local, remote[MAX_PAGES];
	char bytes[MAX_PAGES];
	size_t n = 0;

	if (smp->stack_bytes >= smp->stack_asked || va % page)
		return;
	/* Where nothing can be read, a stack ends; it need not be asked at every sample. */
	if (last->va == va && last->tid == rec->tid && rec->time_ns - last->time_ns < RETRY_NS)
		return;
	*last = (struct pmf_hole){va, rec->time_ns, rec->tid};
	for (; n < MAX_PAGES && va - sp < smp->stack_asked; va += page)
		remote[n++] = (struct iovec){(void *)(uintptr_t)va, 1};
	local = (struct iovec){bytes, n};
	/* Stops at the first page that is none. Without the right to read, dumps stay as they are.
	 */
	(void)!process_vm_readv((pid_t)rec->tid, &local, 1, remote, n, 0);
}
