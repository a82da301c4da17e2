/* Moments of this process, as perf would have recorded them, beside what libgcc's unwinder says. */
#ifndef PMF_TEST_SHOT_H
#define PMF_TEST_SHOT_H

#include "pmuflame/unwind.h"
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

enum { SHOT_MAX_DUMP = 32768, SHOT_MAX_BT = 64 };

struct shot {
	uint64_t regs[PMF_ARCH_MAX_REGS];
	uint8_t *stack;
	size_t stack_bytes;
	void *bt[SHOT_MAX_BT];
	int nr_bt;
};

extern struct pmf_process_table shot_table;
extern struct pmf_process *shot_self;
extern uint8_t shot_ip, shot_sp, shot_fp; /* perf's numbers of these registers */
extern struct pmf_unwind_frame shot_frames[PMF_UNWIND_MAX_FRAMES];

void shot_name_regs(void);
/* For cmocka: this process's mappings as @shot_self. */
int shot_setup(void **state);
int shot_teardown(void **state);

struct pmf_unwinder *shot_unwinder(enum pmf_unwind_mode mode);
/* Into shot_frames: the first @bytes of the stack, of which @asked were wanted. */
struct pmf_unwind_out shot_unwind(
	struct pmf_unwinder *u, const struct shot *s, size_t bytes, size_t asked, size_t cap);

/* At most @max bytes from the stack pointer of s->regs on. */
void shot_copy_stack(struct shot *s, size_t max);
void shot_take_regs(struct shot *s, const ucontext_t *uc);
/* What libgcc says, from the frame of the function that returns to @ra on. */
void shot_take_backtrace(struct shot *s, const void *ra);

/* The moment at which this is called, itself the innermost frame. */
void shot_capture(struct shot *s);

#endif
