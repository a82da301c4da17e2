/* Where an interpreter keeps what: for the agent, which walks its own process, and for the BPF program,
 * which walks others'. Only types that all three compilers lay out alike. */
#ifndef PMF_AGENT_LAYOUT_H
#define PMF_AGENT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

enum pmf_agent_entries {
	PMF_ENTRY_EVERY, /* each frame has a native one of its own */
	PMF_ENTRY_FLAG,  /* frames that native code called are marked */
	PMF_ENTRY_SHIM,  /* a frame that stands for the native code lies below them */
};

/* Offsets in bytes. */
struct pmf_agent_layout {
	uint32_t minor;
	uint16_t tstate_frame;  /* the current frame, or the one below */
	uint16_t tstate_cframe; /* 0 if there is none */
	uint16_t cframe_frame, cframe_previous;
	uint16_t frame_code, frame_previous, frame_instr, frame_entry;
	uint16_t frame_bytes; /* that hold all of these */
	enum pmf_agent_entries entries;
	uint8_t entry_value;
	bool tagged; /* the low bits of the code pointer are flags */
	uint16_t code_name, code_file, code_first_line, code_lines, code_instrs;
	uint16_t code_bytes;
	uint16_t text_state, text_ascii, text_other; /* characters: ASCII, all others */
};

/* How to find the state of a thread: from _PyRuntime over interpreters to their threads. */
struct pmf_agent_threads {
	uint16_t runtime_interpreters; /* the first one's address; behind it the main one's */
	uint16_t tstate_next, tstate_interp;
	uint16_t tstate_id;     /* the thread's id, */
	bool id_in_pthread;     /* or, to 3.10, the address of the C library's structure with it */
	uint16_t tstate_status; /* 0 where threads have one state only (to 3.11) */
	uint32_t interp_next, interp_threads;
};

/* The layout of the interpreter whose Py_GetVersion() is @version and whose _PyRuntime, if it has
 * that symbol, is @runtime; NULL with the reason in @why (PMF_AGENT_WHY_CHARS). */
const struct pmf_agent_layout *pmf_agent_layout_find(
	const char *version, const void *runtime, char *why);
/* Of the same interpreter, whose layout is @l. */
void pmf_agent_threads_find(
	const struct pmf_agent_layout *l, const void *runtime, struct pmf_agent_threads *out);
/* Minor version of a "3.x.y" text, 0 for others. */
unsigned pmf_agent_minor(const char *version);

#endif
