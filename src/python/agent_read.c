/* Is there memory at an address? The kernel answers that for every system call that reads some:
 * rt_sigprocmask(2) copies the new mask before it looks at what to do with it, so a call with an
 * impossible @how changes nothing and tells EINVAL where the memory could be read, else EFAULT.
 * Filters of system calls allow it, for libc needs it. */
#include "agent_priv.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	PAGE_SHIFT = 12, /* no page is smaller */
	KERNEL_SIGSET_BYTES = 8,
	CACHE_PLACES = 1024,
	TICK_SHIFT = 23, /* about 8 ms */
	FRESH_TICKS = 12,
	TICK_BITS = 19, /* wraps after more than an hour; page numbers have 45 bits */
	LEAST_ADDRESS = 4096,
};
#define TICK_MASK ((UINT64_C(1) << TICK_BITS) - 1)

/* Pages that could be read, and when that was: page number << TICK_BITS | tick. Threads overwrite
 * each other's, which costs a question. */
static uint64_t cache[CACHE_PLACES];

static bool page_readable(uintptr_t address)
{
	return syscall(SYS_rt_sigprocmask, -1, address & ~(uintptr_t)(KERNEL_SIGSET_BYTES - 1),
		       NULL, (size_t)KERNEL_SIGSET_BYTES) == 0 ||
	       errno != EFAULT;
}

bool pmf_agent_readable_now(uintptr_t address, size_t len)
{
	uintptr_t last = address + len - 1;

	if (address < LEAST_ADDRESS || last < address)
		return false;
	for (uintptr_t page = address >> PAGE_SHIFT; page <= last >> PAGE_SHIFT; page++)
		if (!page_readable(page << PAGE_SHIFT))
			return false;
	return true;
}

bool pmf_agent_readable(uintptr_t address, size_t len, uint64_t now_ns)
{
	uintptr_t last = address + len - 1;
	uint64_t tick = now_ns >> TICK_SHIFT & TICK_MASK;

	if (address < LEAST_ADDRESS || last < address)
		return false;
	for (uintptr_t page = address >> PAGE_SHIFT; page <= last >> PAGE_SHIFT; page++) {
		uint64_t *place = &cache[page % CACHE_PLACES];
		uint64_t known = __atomic_load_n(place, __ATOMIC_RELAXED);

		if (known >> TICK_BITS == page && ((tick - known) & TICK_MASK) < FRESH_TICKS)
			continue;
		if (!page_readable(page << PAGE_SHIFT))
			return false;
		__atomic_store_n(place, (uint64_t)page << TICK_BITS | tick, __ATOMIC_RELAXED);
	}
	return true;
}
