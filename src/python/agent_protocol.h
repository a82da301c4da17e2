/* What the agent in a Python process and the recorder say to each other: one greeting and its answer
 * over a socket, then records in shared memory. Both sides are built from one tree; the version
 * guards against an old agent that is still preloaded. Included by the agent, which links nothing
 * but libc, and by the recorder. */
#ifndef PMF_AGENT_PROTOCOL_H
#define PMF_AGENT_PROTOCOL_H

#include <stdint.h>

enum {
	PMF_AGENT_MAGIC = 0x504d4641, /* "PMFA" */
	PMF_AGENT_VERSION = 1,
	PMF_AGENT_TOKEN_CHARS = 32,
	PMF_AGENT_WHY_CHARS = 160,
	PMF_AGENT_RING_BYTES = 1 << 19, /* of records; a power of two */
	PMF_AGENT_HEADER_BYTES = 4096,  /* before them */
	PMF_AGENT_ALIGN = 16,           /* of every record */
	PMF_AGENT_FRAMES_MAX = 1024,    /* in one stack, innermost first */
	PMF_AGENT_TEXT_MAX = 4096,      /* bytes of a name or a path */
	PMF_AGENT_LINES_MAX = 32768,    /* bytes of a line table */
	PMF_AGENT_CODES_MAX = 16384,    /* code objects that one process can tell */
};

/* "VERSION:SOCKET:TOKEN:PATH": the socket's file or, where it does not start with a slash, abstract
 * name, the secret that shows that a greeting is from our own, and the agent's file. */
#define PMF_AGENT_ENV "PMUFLAME_AGENT"
enum { PMF_AGENT_VALUE_CHARS = 4224 };

enum pmf_agent_origin {
	PMF_AGENT_STARTED, /* a program has just been executed */
	PMF_AGENT_FORKED,  /* a copy of a process that was connected */
	PMF_AGENT_REFUSED, /* an interpreter that the agent does not know: hello.why */
	PMF_AGENT_LEAVING, /* about to execute a program, which has no handler: stop signalling */
	PMF_AGENT_STAYED,  /* it could not be executed: go on */
};

struct pmf_agent_hello {
	uint32_t magic, version;
	uint32_t origin;
	uint32_t alone;  /* FORKED: what the parent's answer said */
	uint32_t python; /* minor version: 8 for 3.8 */
	char token[PMF_AGENT_TOKEN_CHARS];
	char why[PMF_AGENT_WHY_CHARS]; /* NUL-terminated */
};

/* STARTED and FORKED get the descriptor of the shared memory with it. */
struct pmf_agent_answer {
	uint32_t magic, ok;
	uint32_t alone; /* no other counter of ours runs in this process */
};

/* The shared memory: this page, the ring, and behind it the agent's own table of which code objects
 * it has told (it stands here because the recorder makes it present, which would be page faults of
 * the program's). Any thread of the process adds records, the recorder
 * takes them. Bytes between tail and head are reserved; a record is whole once its size is not 0,
 * so the recorder clears what it has read before it moves the tail. */
struct pmf_agent_ring {
	uint64_t head; /* written by the process */
	uint64_t dropped;
	uint8_t pad[48];
	uint64_t tail;   /* written by the recorder */
	uint32_t closed; /* by the recorder, too: it reads no more */
};

enum {
	PMF_AGENT_CODES_AT = PMF_AGENT_HEADER_BYTES + PMF_AGENT_RING_BYTES,
	PMF_AGENT_MEMORY_BYTES = PMF_AGENT_CODES_AT + PMF_AGENT_CODES_MAX * 8,
};

enum pmf_agent_type { PMF_AGENT_PAD = 1, PMF_AGENT_STACK, PMF_AGENT_CODE };

struct pmf_agent_record {
	uint32_t size; /* of the record, header included; written last */
	uint32_t type;
};

/* One overflow: where the thread's Python code stood. */
struct pmf_agent_frame {
	uint32_t code;  /* number of the code object; PMF_AGENT_CODES_MAX: none could be had */
	uint32_t lasti; /* as in the minor version's line table; top bit: below is native code */
};
#define PMF_AGENT_ENTRY UINT32_C(0x80000000)
#define PMF_AGENT_LASTI_NONE UINT32_C(0x7fffffff) /* before the first instruction */

struct pmf_agent_stack {
	struct pmf_agent_record rec;
	uint64_t time_ns; /* CLOCK_MONOTONIC, when the signal arrived */
	uint64_t ip, sp;  /* what it interrupted */
	uint32_t tid;
	uint32_t nr_frames;
	uint32_t cut;      /* there are outer frames that did not fit */
	uint32_t entering; /* native code was setting up one more, innermost run of frames */
	struct pmf_agent_frame frames[];
};

/* A string: its characters have @width bytes each, as in the interpreter (PEP 393). */
struct pmf_agent_text {
	uint32_t chars;
	uint32_t width; /* 1, 2 or 4 */
};

/* A code object, told once before the first stack that names it. */
struct pmf_agent_code {
	struct pmf_agent_record rec;
	uint32_t code;
	uint32_t first_line;
	struct pmf_agent_text name, file;
	uint32_t line_bytes;
	uint32_t pad;
	uint8_t bytes[]; /* name, file, line table */
};

#endif
