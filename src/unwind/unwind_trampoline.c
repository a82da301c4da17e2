/* CPython 3.12 on x86-64, with -X perf, calls each Python function through a piece of generated code that
 * makes a frame of its own, without CFI and without a frame pointer (Python/asm_trampoline.S):
 *
 *     sub $8, %rsp;  call *%rcx;  add $8, %rsp;  ret
 *
 * It is known by what surrounds the return address. Later versions keep a frame pointer. */
#include "unwind_priv.h"

#include "pmuflame/hash.h"
#include <elf.h>
#include <string.h>
#include <sys/uio.h>

enum { CALL_BYTES = 2, AFTER_BYTES = 5, FRAME_BYTES = 8, PAGE_SHIFT = 12 };
static const uint8_t pattern[CALL_BYTES + AFTER_BYTES] = {0xff, 0xd1, 0x48, 0x83, 0xc4, 0x08, 0xc3};

/* Does the code of the process look so around @pc? Negative if that cannot be read, as of a process
 * that has ended. */
static int ask(pid_t pid, uint64_t pc)
{
	uint8_t bytes[sizeof pattern];
	struct iovec local = {bytes, sizeof bytes};
	struct iovec remote = {(void *)(uintptr_t)(pc - CALL_BYTES), sizeof bytes};

	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != sizeof bytes)
		return -1;
	return memcmp(bytes, pattern, sizeof bytes) == 0;
}

/* Trampolines fill whole pages: one answer is good for all of them. */
static bool is_trampoline(struct pmf_unwinder *u, const struct pmf_walk *w)
{
	uint64_t page = w->pc >> PAGE_SHIFT;
	pid_t pid = w->in->process->pid;
	struct pmf_trampoline *known =
		&u->trampolines[pmf_hash_u64(page ^ (uint64_t)pid << 52) % PMF_TRAMPOLINES];
	int found;

	if (known->page == page && known->pid == pid)
		return known->found;
	found = ask(pid, w->pc);
	if (found >= 0)
		*known = (struct pmf_trampoline){page, pid, found > 0};
	return found > 0;
}

bool pmf_step_trampoline(struct pmf_unwinder *u, struct pmf_walk *w)
{
	const struct pmf_unwind_in *in = w->in;
	uint64_t sp = w->regs[w->dwarf_sp], ra;

	if (in->arch->elf_machine != EM_X86_64 || w->exact || !in->table || !in->table->live ||
		!is_trampoline(u, w) || !pmf_walk_read(w, sp + FRAME_BYTES, &ra) || ra == 0)
		return false;
	w->pc = ra;
	w->regs[w->dwarf_sp] = sp + FRAME_BYTES + in->arch->word_bytes;
	w->exact = false;
	return true;
}
