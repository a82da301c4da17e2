/* What a CPython says of its own structures, at the start of its runtime. */
#include "pmuflame/remote.h"

#include "remote_priv.h"
#include <string.h>

/* struct _Py_DebugOffsets of 3.14 as words of 64 bits. */
enum {
	WORD_VERSION = 1, /* PY_VERSION_HEX */
	WORD_FREE_THREADED = 2,
	WORD_RUNTIME_BYTES = 3,
	WORD_INTERPRETERS = 5,
	WORD_INTERPRETER_BYTES = 6,
	WORD_THREADS = 9,
	WORD_MAIN_THREAD = 10,
	WORD_THREAD_BYTES = 22,
	WORD_NEXT_THREAD = 24,
	WORD_NATIVE_ID = 28,
	WORD_EVAL_BREAKER = 89,
	WORD_SUPPORT = 90, /* in a thread's state; the next ones are in there */
	WORD_ENABLED = 91, /* in an interpreter */
	WORD_PENDING = 92,
	WORD_PATH = 93,
	WORD_PATH_BYTES = 94,
	MINOR = 14,
	PATH_BYTES_MIN = 64,
	PATH_BYTES_MAX = 65536,
	RELEASED = 0xf0, /* PY_RELEASE_LEVEL_FINAL */
};
#define STRUCT_BYTES_MAX (UINT64_C(1) << 24)

/* Do @bytes at offset @at lie in a structure of @size? */
static bool lies_in(uint64_t at, uint64_t bytes, uint64_t size)
{
	return size <= STRUCT_BYTES_MAX && at <= size && bytes <= size - at;
}

static bool make_sense(const uint64_t *w)
{
	uint64_t support = w[WORD_SUPPORT], room = w[WORD_PATH_BYTES];

	return lies_in(w[WORD_INTERPRETERS], 8, w[WORD_RUNTIME_BYTES]) &&
	       lies_in(w[WORD_THREADS], 8, w[WORD_INTERPRETER_BYTES]) &&
	       lies_in(w[WORD_NEXT_THREAD], 8, w[WORD_THREAD_BYTES]) &&
	       lies_in(w[WORD_NATIVE_ID], 8, w[WORD_THREAD_BYTES]) &&
	       lies_in(w[WORD_MAIN_THREAD], 8, w[WORD_INTERPRETER_BYTES]) &&
	       lies_in(w[WORD_ENABLED], 4, w[WORD_INTERPRETER_BYTES]) &&
	       lies_in(w[WORD_EVAL_BREAKER], 8, w[WORD_THREAD_BYTES]) && room >= PATH_BYTES_MIN &&
	       room <= PATH_BYTES_MAX && lies_in(support, 0, w[WORD_THREAD_BYTES]) &&
	       lies_in(w[WORD_PENDING], 4, w[WORD_THREAD_BYTES] - support) &&
	       lies_in(w[WORD_PATH], room, w[WORD_THREAD_BYTES] - support);
}

int pmf_remote_offsets_read(
	const uint64_t words[PMF_REMOTE_WORDS], struct pmf_remote_offsets *out, struct pmf_err *err)
{
	uint64_t version = words[WORD_VERSION], support = words[WORD_SUPPORT];
	unsigned major = (unsigned)(version >> 24), minor = version >> 16 & 0xff,
		 micro = version >> 8 & 0xff;

	if (memcmp(words, "xdebugpy", sizeof words[0]) != 0 || major != 3)
		return pmf_err_set(err, PMF_EFORMAT, "its interpreter does not say what it is");
	if (minor > MINOR)
		return pmf_err_set(err, PMF_EUNSUP,
			"its CPython 3.%u.%u is later than this pmuflame knows", minor, micro);
	if (minor != MINOR)
		return pmf_err_set(
			err, PMF_EUNSUP, "its CPython 3.%u.%u" PMF_REMOTE_TOO_OLD, minor, micro);
	if (words[WORD_FREE_THREADED])
		return pmf_err_set(err, PMF_EUNSUP, "its CPython 3.%u.%u is a free-threaded build",
			minor, micro);
	if ((version & 0xf0) != RELEASED || !make_sense(words))
		return pmf_err_set(err, PMF_EUNSUP,
			"its CPython 3.%u.%u is a build whose structures are not those of its "
			"version",
			minor, micro);
	*out = (struct pmf_remote_offsets){.interpreters = words[WORD_INTERPRETERS],
		.threads = words[WORD_THREADS],
		.main_thread = words[WORD_MAIN_THREAD],
		.next_thread = words[WORD_NEXT_THREAD],
		.native_id = words[WORD_NATIVE_ID],
		.enabled = words[WORD_ENABLED],
		.eval_breaker = words[WORD_EVAL_BREAKER],
		.pending = support + words[WORD_PENDING],
		.path = support + words[WORD_PATH],
		.path_bytes = words[WORD_PATH_BYTES]};
	return 0;
}
