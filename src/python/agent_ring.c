/* Records into shared memory, from any number of threads and from their signal handlers: a place is
 * reserved by moving the head, and counts as written once its size is there. */
#include "agent_priv.h"

static uint8_t *data_of(struct pmf_agent_ring *ring)
{
	return (uint8_t *)ring + PMF_AGENT_HEADER_BYTES;
}

static size_t rounded(size_t size)
{
	return (size + PMF_AGENT_ALIGN - 1) & ~(size_t)(PMF_AGENT_ALIGN - 1);
}

void *pmf_agent_ring_reserve(struct pmf_agent_ring *ring, size_t size)
{
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED), tail;
	size_t at, pad;

	size = rounded(size);
	do {
		at = head & (PMF_AGENT_RING_BYTES - 1);
		pad = at + size > PMF_AGENT_RING_BYTES ? PMF_AGENT_RING_BYTES - at : 0;
		/* With it come the zeroes that the recorder wrote before. */
		tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
		if (head - tail + pad + size > PMF_AGENT_RING_BYTES) {
			__atomic_fetch_add(&ring->dropped, 1, __ATOMIC_RELAXED);
			return NULL;
		}
	} while (!__atomic_compare_exchange_n(
		&ring->head, &head, head + pad + size, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	if (pad) {
		pmf_agent_ring_commit(data_of(ring) + at, PMF_AGENT_PAD, pad);
		at = 0;
	}
	return data_of(ring) + at;
}

void pmf_agent_ring_commit(void *record, uint32_t type, size_t size)
{
	struct pmf_agent_record *rec = record;

	rec->type = type;
	__atomic_store_n(&rec->size, (uint32_t)rounded(size), __ATOMIC_RELEASE);
}
