/* The signals of one symbol, bar by bar, as a live strategy would compute them. */
#include "signals.h"

#include <stdio.h>

static WL_FRAME void scan_signals(const struct bars *b, uint64_t counts[3])
{
	for (size_t i = 0; i < b->n; i++)
		counts[generate_signal(b, i)]++;
}

int main(int argc, char **argv)
{
	uint64_t nr_bars = 200000, seed = 1;
	const struct wl_option options[] = {
		{"--bars", &nr_bars, NULL, 1, 100000000, "price bars of the symbol"},
		{"--seed", &seed, NULL, 0, UINT32_MAX, "of the random walk"},
		{NULL, NULL, NULL, 0, 0, NULL},
	};
	wl_parse(argc, argv, options);

	struct bars bars;
	uint64_t counts[3] = {0, 0, 0};
	generate_bars(&bars, nr_bars, seed);
	double start = wl_now();
	scan_signals(&bars, counts);
	double elapsed = wl_now() - start;
	release_bars(&bars);

	printf("bars             %llu\n", (unsigned long long)nr_bars);
	printf("buy              %llu\n", (unsigned long long)counts[SIGNAL_BUY]);
	printf("sell             %llu\n", (unsigned long long)counts[SIGNAL_SELL]);
	printf("hold             %llu\n", (unsigned long long)counts[SIGNAL_HOLD]);
	printf("seconds per bar  %.3e\n", elapsed / (double)nr_bars);
	return 0;
}
