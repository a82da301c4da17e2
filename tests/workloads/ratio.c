/* Two functions that cost 3:1, in turns too short for a scheduler or a frequency step to favour
 * one. */
#include "workload.h"

#include <stdio.h>

enum { UNIT = 20000 }; /* rounds of the loop in cost_one: about 25 µs */

static WL_FRAME uint64_t cost_one(uint64_t x)
{
	return wl_spin(x, UINT64_C(1) * UNIT);
}

static WL_FRAME uint64_t cost_three(uint64_t x)
{
	return wl_spin(x, UINT64_C(3) * UNIT);
}

int main(int argc, char **argv)
{
	uint64_t rounds = 0;
	double seconds = 1;
	const struct wl_option options[] = {
		{"--seconds", NULL, &seconds, 0, 3600, "CPU time to spend"},
		{"--rounds", &rounds, NULL, 0, 1000000000, "rounds instead, 0 for --seconds"},
		{NULL, NULL, NULL, 0, 0, NULL},
	};
	wl_parse(argc, argv, options);

	const double end = wl_thread_cpu() + seconds;
	uint64_t x = 1, done = 0;
	do {
		x = cost_one(x);
		x = cost_three(x);
		done++;
	} while (rounds ? done < rounds : wl_thread_cpu() < end);
	printf("rounds  %llu\nresult  %016llx\n", (unsigned long long)done, (unsigned long long)x);
	return 0;
}
