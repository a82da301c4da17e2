/* skip_because: leave a cmocka test with the reason, which tests/unit/run turns into TAP's skip. */
#ifndef SKIP_H
#define SKIP_H

#include <sys/auxv.h>
#include <unistd.h>

#define skip_because(...) \
	do { \
		print_message("# skip: " __VA_ARGS__); \
		print_message("\n"); \
		skip(); \
	} while (0)

/* @why: what only root can do. */
#define NEED_ROOT(why) \
	do { \
		if (geteuid() != 0) \
			skip_because("only root " why); \
	} while (0)

#define NEED_SANDBOX(box) \
	do { \
		if (!(box)) \
			skip_because("no sandbox can be had here, or valgrind is in it"); \
	} while (0)

/* valgrind hides the vDSO. */
#define NEED_OWN_PROCESSOR() \
	do { \
		if (!getauxval(AT_SYSINFO_EHDR)) \
			skip_because("valgrind touches pages of its own"); \
	} while (0)

#endif
