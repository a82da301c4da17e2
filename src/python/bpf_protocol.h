/* What the BPF program that walks interpreters and the recorder say to each other: who is a Python, in a
 * map, and records in the kernel's rings. Included by both; only types that both lay out alike. */
#ifndef PMF_BPF_PROTOCOL_H
#define PMF_BPF_PROTOCOL_H

#include "agent_layout.h"

enum {
	PMF_BPF_FRAMES_MAX = 1024, /* in one stack, innermost first */
	PMF_BPF_TEXT_MAX = 1024,   /* bytes of a name or a path */
	PMF_BPF_LINES_MAX = 32768, /* bytes of a line table; a power of two */
	PMF_BPF_PROCESSES_MAX = 32768,
	PMF_BPF_CODES_MAX = 65536, /* code objects that are known to have been told */
	PMF_BPF_THREADS_MAX = 16384,
};

/* A process with an interpreter, by its pid. */
struct pmf_bpf_python {
	uint64_t runtime, code_type; /* &_PyRuntime, &PyCode_Type */
	struct pmf_agent_layout layout;
	struct pmf_agent_threads threads;
};

enum pmf_bpf_type { PMF_BPF_STACK = 1, PMF_BPF_CODE };

struct pmf_bpf_record {
	uint32_t type;
	uint32_t pid, tid; /* as the recorder sees them */
	uint32_t minor;
};

/* In lasti, as struct pmf_agent_frame's. */
#define PMF_BPF_ENTRY UINT32_C(0x80000000)
#define PMF_BPF_LASTI_NONE UINT32_C(0x7fffffff)

struct pmf_bpf_frame {
	uint64_t code; /* what its code object was told under; 0: it could not be read */
	uint32_t lasti;
	uint32_t pad;
};

enum pmf_bpf_flags {
	PMF_BPF_CUT = 1,      /* there are outer frames that did not fit */
	PMF_BPF_ENTERING = 2, /* native code was setting up one more, innermost run of frames */
	PMF_BPF_UNREAD = 4,   /* a page was not there: frames from there outwards are missing */
	PMF_BPF_NO_STATE = 8, /* the interpreter knows no such thread */
	PMF_BPF_UNTOLD = 16,  /* there are code objects that a later sample tells */
};

/* One overflow. Stands before its sample in the ring. */
struct pmf_bpf_stack {
	struct pmf_bpf_record rec;
	uint64_t ip; /* of the sample */
	uint32_t flags;
	uint32_t nr_frames;
	struct pmf_bpf_frame frames[PMF_BPF_FRAMES_MAX];
};

/* A string of @chars characters, @width bytes each, as in the interpreter (PEP 393). */
struct pmf_bpf_text {
	uint32_t chars;
	uint32_t width; /* 1, 2 or 4 */
};

/* A code object, told before the first stack that names it (or, where those are too many at
 * once, before a later one), and again where it may have been forgotten. */
struct pmf_bpf_code {
	struct pmf_bpf_record rec;
	uint64_t code;
	uint32_t first_line;
	uint32_t line_bytes;
	struct pmf_bpf_text name, file;
	/* The name's, the file's and the line table's, without a gap. */
	uint8_t bytes[2 * PMF_BPF_TEXT_MAX + PMF_BPF_LINES_MAX];
};

#endif
