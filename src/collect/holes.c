/* Stack pages that nothing has touched yet: below a large local array, say. The kernel copies a
 * stack without taking page faults (arch_perf_out_copy_user), so a dump ends at the first such
 * page, and every sample of the function loses its callers. To read a byte of the page makes it
 * present: the program does not see that, its own first write faults as before, and the next dump
 * is whole. */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_PAGES = 64 };
#define RETRY_NS UINT64_C(10000000)
#define RETRY_END_NS UINT64_C(1000000000) /* where the stack itself ends, which it rarely moves */

void pmf_holes_fill(struct pmf_holes *h, const struct pmf_record *rec, uint64_t sp)
{
	const struct pmf_sample *smp = &rec->sample;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), va = sp + smp->stack_bytes, end,
		 hash = pmf_hash_u64(va ^ (uint64_t)rec->tid << 48);
	struct pmf_hole *last = &h->last[hash % PMF_ARRAY_SIZE(h->last)];
	struct iovec local, remote[MAX_PAGES];
	char bytes[MAX_PAGES];
	size_t n = 0;

	if (smp->stack_bytes >= smp->stack_asked || va % page)
		return;
	if (last->va == va && last->tid == rec->tid && rec->time_ns < last->retry_ns)
		return;
	/* Nothing but the stack is touched: what lies behind it may be a device, or a file. */
	end = PMF_MIN(pmf_process_stack_end((pid_t)rec->pid, sp), sp + smp->stack_asked);
	*last = (struct pmf_hole){
		va, rec->time_ns + (va < end ? RETRY_NS : RETRY_END_NS), rec->tid};
	for (; n < MAX_PAGES && va < end; va += page)
		remote[n++] = (struct iovec){(void *)(uintptr_t)va, 1};
	local = (struct iovec){bytes, n};
	/* Without the right to read, dumps stay as they are. */
	if (n && process_vm_readv((pid_t)rec->tid, &local, 1, remote, n, 0) < 0)
		last->retry_ns = rec->time_ns + RETRY_END_NS;
}
