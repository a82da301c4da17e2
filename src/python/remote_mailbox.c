/* The interpreter in a process: where it is, what it says of itself, and the places in it that are
 * written to. */
#include "pmuflame/process.h"
#include "remote_priv.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

enum {
	STATES_MAX = 65536, /* of threads in one interpreter */
	/* Bits of the eval breaker (Include/internal/pycore_ceval.h), all in its first byte. */
	STOP_BIT = 1 << 5,
	SIGNALS_BIT = 1 << 1,
	CALLS_BIT = 1 << 2,
};

/* ---- The process's memory ---- */

static bool read_memory(pid_t pid, uint64_t va, void *out, size_t len)
{
	struct iovec local = {out, len}, remote = {(void *)(uintptr_t)va, len};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static bool write_memory(pid_t pid, uint64_t va, const void *from, size_t len)
{
	struct iovec local = {(void *)(uintptr_t)from, len}, remote = {(void *)(uintptr_t)va, len};

	return process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static int memory_refused(pid_t pid, struct pmf_err *err)
{
	if (errno == EPERM)
		return pmf_err_set(err, PMF_EPERM,
			"this user may not write to process %d (it is another user's or set-uid, "
			"or kernel.yama.ptrace_scope forbids it)",
			(int)pid);
	return pmf_err_errno(
		err, PMF_EIO, errno, "cannot read the interpreter in process %d", (int)pid);
}

/* ---- The interpreter ---- */

static uint64_t section_address(const struct pmf_elf *elf, const char *name)
{
	const struct pmf_elf_section *s = elf ? pmf_elf_find(elf, name) : NULL;

	return s ? s->addr : 0;
}

/* A CPython that says nothing of itself, by the name of its file: "python3.11". */
static const char *older_version(const char *name)
{
	const char *at = strstr(name, "python3.");

	return at && isdigit((unsigned char)at[sizeof "python3." - 1]) ? at + sizeof "python" - 1
								       : NULL;
}

/* Where @p's interpreter has its runtime, and what it says of itself. PMF_ENOTFOUND: it has no
 * CPython. */
static int find_runtime(const struct pmf_process *p, uint64_t *va, struct pmf_remote_offsets *o,
	struct pmf_err *err)
{
	uint64_t words[PMF_REMOTE_WORDS];
	const char *version = NULL;
	struct pmf_err why = PMF_ERR_INIT;
	int ret;

	for (size_t i = 0; i < p->nr_maps; i++) {
		const struct pmf_map *m = &p->maps[i];
		uint64_t rva = section_address(m->image->elf, ".PyRuntime");

		if (!version)
			version = older_version(m->image->name);
		if (!rva)
			continue;
		*va = rva + m->bias;
		if (!read_memory(p->pid, *va, words, sizeof words))
			return memory_refused(p->pid, err);
		ret = pmf_remote_offsets_read(words, o, &why);
		if (ret == 0)
			return 0;
		if (ret != PMF_EFORMAT)
			return pmf_err_set(err, why.status, "%s", why.text);
	}
	if (!version)
		return pmf_err_set(err, PMF_ENOTFOUND, "process %d has no CPython", (int)p->pid);
	return pmf_err_set(err, PMF_EUNSUP, "its CPython %.*s" PMF_REMOTE_TOO_OLD,
		(int)strspn(version, "0123456789."), version);
}

int pmf_remote_interpreter_find(
	const struct pmf_process *p, struct pmf_remote_interpreter *out, struct pmf_err *err)
{
	struct pmf_remote_interpreter in = {.pid = p->pid};
	uint64_t runtime = 0;
	int32_t enabled = 0;
	int ret = find_runtime(p, &runtime, &in.offsets, err);

	if (ret)
		return ret;
	if (!read_memory(in.pid, runtime + in.offsets.interpreters, &in.va, sizeof in.va) ||
		!read_memory(in.pid, in.va + in.offsets.enabled, &enabled, sizeof enabled) ||
		!read_memory(in.pid, in.va + in.offsets.main_thread, &in.main_state,
			sizeof in.main_state) ||
		!in.main_state)
		return pmf_err_set(err, PMF_EUNSUP, "its interpreter is not running (yet)");
	if (enabled != 1)
		return pmf_err_set(err, PMF_EUNSUP,
			"its CPython 3.14 may not be asked (PYTHON_DISABLE_REMOTE_DEBUG or -X "
			"disable-remote-debug)");
	*out = in;
	return 0;
}

uint64_t pmf_remote_state_of(const struct pmf_remote_interpreter *in, pid_t tid)
{
	uint64_t inner = (uint64_t)pmf_process_inner_tid(in->pid, tid), state = 0, id = 0;

	if (!read_memory(in->pid, in->va + in->offsets.threads, &state, sizeof state))
		return 0;
	for (size_t i = 0; state && i < STATES_MAX; i++) {
		if (!read_memory(in->pid, state + in->offsets.native_id, &id, sizeof id))
			return 0;
		if (id == inner)
			return state;
		if (!read_memory(in->pid, state + in->offsets.next_thread, &state, sizeof state))
			return 0;
	}
	return 0;
}

/* The path, that there is one, and that there is something to look for: in this order. */
int pmf_remote_post(const struct pmf_remote_interpreter *in, uint64_t state, const char *script,
	struct pmf_err *err)
{
	const struct pmf_remote_offsets *o = &in->offsets;
	size_t len = strlen(script) + 1;
	int32_t pending = 0;
	uint8_t breaker = 0;

	if (len > o->path_bytes)
		return pmf_err_set(err, PMF_EUNSUP, "its CPython takes shorter paths only");
	if (!read_memory(in->pid, state + o->pending, &pending, sizeof pending))
		return memory_refused(in->pid, err);
	if (pending)
		return pmf_err_set(err, PMF_EUNSUP,
			"another debugger has asked its CPython, which has not answered yet");
	pending = 1;
	if (!write_memory(in->pid, state + o->path, script, len) ||
		!write_memory(in->pid, state + o->pending, &pending, sizeof pending) ||
		!read_memory(in->pid, state + o->eval_breaker, &breaker, sizeof breaker))
		return memory_refused(in->pid, err);
	/* The process may set a bit in between: those that must not be lost are set with it, which
	 * has it look for signals and calls that may not be there. */
	breaker |= STOP_BIT | SIGNALS_BIT | CALLS_BIT;
	if (!write_memory(in->pid, state + o->eval_breaker, &breaker, sizeof breaker))
		return memory_refused(in->pid, err);
	return 0;
}

bool pmf_remote_withdraw(
	const struct pmf_remote_interpreter *in, uint64_t state, const char *script)
{
	char there[PMF_REMOTE_SCRIPT_CHARS];
	size_t len = strlen(script) + 1;
	int32_t pending = 0;

	if (!read_memory(in->pid, state + in->offsets.path, there, len) ||
		memcmp(there, script, len) != 0 ||
		!read_memory(in->pid, state + in->offsets.pending, &pending, sizeof pending))
		return true;
	if (!pending)
		return false;
	pending = 0;
	write_memory(in->pid, state + in->offsets.pending, &pending, sizeof pending);
	return true;
}
