/* skip_because: leave a cmocka test with the reason, which tests/unit/run turns into TAP's skip. */
#ifndef SKIP_H
#define SKIP_H

#define skip_because(...) \
	do { \
		print_message("# skip: " __VA_ARGS__); \
		print_message("\n"); \
		skip(); \
	} while (0)

#endif
