/* Recorded rings: what tests/tools/ringdump.c writes, read back for tests and for replaying.
 *
 * The file starts with text lines, in this order:
 *	pmuflame-ring 1
 *	arch NAME
 *	command TEXT
 *	event NUMBER NAME                   one for each event, numbers from 0
 *	layout ID EVENT SAMPLE_TYPE READ_FORMAT REGS_USER PERIOD    one for each descriptor
 * ID and PERIOD are decimal, EVENT is an event's number or "-" for sideband, the other three are
 * hexadecimal with 0x. Then come the rings, each a line
 *	ring CPU BYTES
 * followed by that many bytes as they stood in the kernel's ring and a newline; then the line
 *"end". */
#ifndef PMF_TEST_RING_FIXTURE_H
#define PMF_TEST_RING_FIXTURE_H

#include "pmuflame/record.h"

enum { RING_FIXTURE_EVENTS = 16, RING_FIXTURE_NAME = 64 };

struct ring_fixture {
	char arch[RING_FIXTURE_NAME];
	char command[256];
	char events[RING_FIXTURE_EVENTS][RING_FIXTURE_NAME];
	size_t nr_events;
	struct pmf_layouts layouts; /* sealed */
	struct pmf_ring *rings;     /* head is the size of the recording, tail 0 */
	struct pmf_ring **ptrs;     /* to each of rings, for pmf_merge_init */
	uint32_t *cpus;             /* of each ring */
	size_t nr_rings, cap_rings;
};

/* Load @path. On failure nothing needs a release. */
int ring_fixture_load(struct ring_fixture *f, const char *path, struct pmf_err *err);
void ring_fixture_release(struct ring_fixture *f);

#endif
