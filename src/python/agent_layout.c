/* Where CPython keeps its frames and code objects. Offsets are of 64-bit builds, taken from the debug
 * information of 3.8.18, 3.9.18, 3.10.13, 3.11.2, 3.11.7, 3.12.1, 3.13.0 and 3.14.10; within a minor
 * version they do not change. From 3.13 on the interpreter tells them itself
 * (Include/internal/pycore_debug_offsets.h): a build that says otherwise is refused. */
#include "agent_layout.h"

#include "agent_protocol.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pmf_agent_layout layouts[] = {
	{.minor = 8,
		.tstate_frame = 24,
		.frame_code = 32,
		.frame_previous = 24,
		.frame_instr = 104,
		.frame_bytes = 112,
		.entries = PMF_ENTRY_EVERY,
		.code_name = 112,
		.code_file = 104,
		.code_first_line = 40,
		.code_lines = 120,
		.code_bytes = 128,
		.text_state = 32,
		.text_ascii = 48,
		.text_other = 72},
	{.minor = 9,
		.tstate_frame = 24,
		.frame_code = 32,
		.frame_previous = 24,
		.frame_instr = 104,
		.frame_bytes = 112,
		.entries = PMF_ENTRY_EVERY,
		.code_name = 112,
		.code_file = 104,
		.code_first_line = 40,
		.code_lines = 120,
		.code_bytes = 128,
		.text_state = 32,
		.text_ascii = 48,
		.text_other = 72},
	{.minor = 10,
		.tstate_frame = 24,
		.frame_code = 32,
		.frame_previous = 24,
		.frame_instr = 96,
		.frame_bytes = 104,
		.entries = PMF_ENTRY_EVERY,
		.code_name = 112,
		.code_file = 104,
		.code_first_line = 40,
		.code_lines = 120,
		.code_bytes = 128,
		.text_state = 32,
		.text_ascii = 48,
		.text_other = 72},
	{.minor = 11,
		.tstate_cframe = 56,
		.cframe_frame = 8,
		.cframe_previous = 16,
		.frame_code = 32,
		.frame_previous = 48,
		.frame_instr = 56,
		.frame_entry = 68,
		.frame_bytes = 72,
		.entries = PMF_ENTRY_FLAG,
		.entry_value = 1,
		.code_name = 128,
		.code_file = 112,
		.code_first_line = 72,
		.code_lines = 136,
		.code_instrs = 184,
		.code_bytes = 184,
		.text_state = 32,
		.text_ascii = 48,
		.text_other = 72},
	{.minor = 12,
		.tstate_cframe = 56,
		.cframe_frame = 0,
		.cframe_previous = 8,
		.frame_code = 0,
		.frame_previous = 8,
		.frame_instr = 56,
		.frame_entry = 70,
		.frame_bytes = 72,
		.entries = PMF_ENTRY_SHIM,
		.entry_value = 3,
		.code_name = 128,
		.code_file = 112,
		.code_first_line = 68,
		.code_lines = 136,
		.code_instrs = 192,
		.code_bytes = 192,
		.text_state = 32,
		.text_ascii = 40,
		.text_other = 56},
	{.minor = 13,
		.tstate_frame = 72,
		.frame_code = 0,
		.frame_previous = 8,
		.frame_instr = 56,
		.frame_entry = 70,
		.frame_bytes = 72,
		.entries = PMF_ENTRY_SHIM,
		.entry_value = 3,
		.code_name = 128,
		.code_file = 112,
		.code_first_line = 68,
		.code_lines = 136,
		.code_instrs = 200,
		.code_bytes = 200,
		.text_state = 32,
		.text_ascii = 40,
		.text_other = 56},
	{.minor = 14,
		.tstate_frame = 72,
		.frame_code = 0,
		.frame_previous = 8,
		.frame_instr = 56,
		.frame_entry = 74,
		.frame_bytes = 80,
		.entries = PMF_ENTRY_SHIM,
		.entry_value = 3,
		.tagged = true,
		.code_name = 128,
		.code_file = 112,
		.code_first_line = 68,
		.code_lines = 136,
		.code_instrs = 208,
		.code_bytes = 208,
		.text_state = 32,
		.text_ascii = 40,
		.text_other = 56},
};

enum { FIRST = 8, SELF_DESCRIBED = 13 };

/* The same builds' threads, before they told it themselves. */
static const struct pmf_agent_threads threads[SELF_DESCRIBED - FIRST] = {
	[8 - FIRST] = {.runtime_interpreters = 32,
		.tstate_next = 8,
		.tstate_interp = 16,
		.tstate_id = 176,
		.id_in_pthread = true,
		.interp_threads = 8},
	[9 - FIRST] = {.runtime_interpreters = 32,
		.tstate_next = 8,
		.tstate_interp = 16,
		.tstate_id = 176,
		.id_in_pthread = true,
		.interp_threads = 8},
	[10 - FIRST] = {.runtime_interpreters = 32,
		.tstate_next = 8,
		.tstate_interp = 16,
		.tstate_id = 176,
		.id_in_pthread = true,
		.interp_threads = 8},
	[11 - FIRST] = {.runtime_interpreters = 40,
		.tstate_next = 8,
		.tstate_interp = 16,
		.tstate_id = 160,
		.interp_threads = 16},
	[12 - FIRST] = {.runtime_interpreters = 40,
		.tstate_next = 8,
		.tstate_interp = 16,
		.tstate_id = 144,
		.tstate_status = 24,
		.interp_threads = 72},
};

/* struct _Py_DebugOffsets as words of 64 bits: where its groups start. */
enum {
	WORD_VERSION = 1,
	WORD_INTERPRETERS = 5,
	WORD_INTERP_NEXT = 8,
	WORD_INTERP_THREADS = 9,
	WORD_THREAD_13 = 19, /* behind 3 of the runtime and 13 of the interpreter */
	WORD_THREAD_14 = 22, /* behind 3 and 16 */
	FRAME_WORDS_13 = 6,
	FRAME_WORDS_14 = 8,
	THREAD_WORDS = 9,
	THREAD_NEXT = 2,
	THREAD_INTERP = 3,
	THREAD_FRAME = 4,
	THREAD_NATIVE_ID = 6,
	THREAD_STATUS = 8,
	FRAME_PREVIOUS = 1,
	FRAME_EXECUTABLE = 2,
	FRAME_INSTR = 3,
	FRAME_OWNER = 5,
	CODE_FILE = 1,
	CODE_QUALNAME = 3,
	CODE_LINES = 4,
	CODE_FIRST_LINE = 5,
	CODE_INSTRS = 9,
};

unsigned pmf_agent_minor(const char *version)
{
	char *end;
	unsigned long minor;

	if (strncmp(version, "3.", 2) != 0)
		return 0;
	minor = strtoul(version + 2, &end, 10);
	return end == version + 2 || minor > 1000 ? 0 : (unsigned)minor;
}

static const uint64_t *thread_words(const struct pmf_agent_layout *l, const uint64_t *words)
{
	return words + (l->minor == 13 ? WORD_THREAD_13 : WORD_THREAD_14);
}

static bool offsets_agree(const struct pmf_agent_layout *l, const uint64_t *words)
{
	bool first = l->minor == 13;
	const uint64_t *thread = thread_words(l, words);
	const uint64_t *frame = thread + THREAD_WORDS;
	const uint64_t *code = frame + (first ? FRAME_WORDS_13 : FRAME_WORDS_14);

	return memcmp(words, "xdebugpy", 8) == 0 && words[WORD_VERSION] >> 24 == 3 &&
	       (words[WORD_VERSION] >> 16 & 0xff) == l->minor &&
	       thread[THREAD_FRAME] == l->tstate_frame &&
	       frame[FRAME_PREVIOUS] == l->frame_previous &&
	       frame[FRAME_EXECUTABLE] == l->frame_code && frame[FRAME_INSTR] == l->frame_instr &&
	       frame[FRAME_OWNER] == l->frame_entry && code[CODE_FILE] == l->code_file &&
	       code[CODE_QUALNAME] == l->code_name && code[CODE_LINES] == l->code_lines &&
	       code[CODE_FIRST_LINE] == l->code_first_line && code[CODE_INSTRS] == l->code_instrs;
}

void pmf_agent_threads_find(
	const struct pmf_agent_layout *l, const void *runtime, struct pmf_agent_threads *out)
{
	const uint64_t *words = runtime, *thread;

	if (l->minor < SELF_DESCRIBED) {
		*out = threads[l->minor - FIRST];
		return;
	}
	thread = thread_words(l, words);
	*out = (struct pmf_agent_threads){
		.runtime_interpreters = (uint16_t)words[WORD_INTERPRETERS],
		.tstate_next = (uint16_t)thread[THREAD_NEXT],
		.tstate_interp = (uint16_t)thread[THREAD_INTERP],
		.tstate_id = (uint16_t)thread[THREAD_NATIVE_ID],
		.tstate_status = (uint16_t)thread[THREAD_STATUS],
		.interp_next = (uint32_t)words[WORD_INTERP_NEXT],
		.interp_threads = (uint32_t)words[WORD_INTERP_THREADS]};
}

const struct pmf_agent_layout *pmf_agent_layout_find(
	const char *version, const void *runtime, char *why)
{
	unsigned minor = pmf_agent_minor(version);
	int len = (int)strcspn(version, " ");
	const struct pmf_agent_layout *l = NULL;

	for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
		if (layouts[i].minor == minor)
			l = &layouts[i];
	if (!l) {
		snprintf(why, PMF_AGENT_WHY_CHARS, "CPython %.*s is none of 3.8 to 3.14", len,
			version);
		return NULL;
	}
	if (strstr(version, "free-threading")) {
		snprintf(why, PMF_AGENT_WHY_CHARS, "CPython %.*s is a free-threaded build", len,
			version);
		return NULL;
	}
	if (minor >= SELF_DESCRIBED && (!runtime || !offsets_agree(l, runtime))) {
		snprintf(why, PMF_AGENT_WHY_CHARS,
			"CPython %.*s is a build whose structures are not those of its version",
			len, version);
		return NULL;
	}
	return l;
}
