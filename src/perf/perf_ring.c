/* One kernel ring: mapping it, and the ordering rules of its two ends (linux/perf_event.h, struct
 * perf_event_mmap_page, data_head and data_tail). */
#include "perf_session_priv.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

bool pmf_perf_ring_map(struct pmf_perf_cpu *c, size_t bytes)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page_bytes + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);

	if (p == MAP_FAILED)
		return false;
	c->page = p;
	c->mapped_bytes = page_bytes + bytes;
	c->ring = (struct pmf_ring){.data = (const uint8_t *)p + page_bytes, .size = bytes};
	c->published = 0;
	return true;
}

void pmf_perf_ring_unmap(struct pmf_perf_cpu *c)
{
	if (c->page)
		munmap(c->page, c->mapped_bytes);
	c->page = NULL;
}

void pmf_perf_ring_refresh(struct pmf_perf_cpu *c)
{
	if (c->page)
		c->ring.head = __atomic_load_n(&c->page->data_head, __ATOMIC_ACQUIRE);
}

void pmf_perf_ring_publish(struct pmf_perf_cpu *c)
{
	if (c->page && c->published != c->ring.tail) {
		c->published = c->ring.tail;
		__atomic_store_n(&c->page->data_tail, c->ring.tail, __ATOMIC_RELEASE);
	}
}

bool pmf_perf_cpu_listed(const char *list, int cpu)
{
	if (!list)
		return true;
	while (*list) {
		char *end;
		long first = strtol(list, &end, 10), last = first;

		if (end == list)
			return false;
		if (*end == '-') {
			list = end + 1;
			last = strtol(list, &end, 10);
			if (end == list)
				return false;
		}
		if (cpu >= first && cpu <= last)
			return true;
		list = *end == ',' ? end + 1 : "";
	}
	return false;
}
