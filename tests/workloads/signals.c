#include "signals.h"

#include <math.h>
#include <stdlib.h>

/* xorshift64*: small, and the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

/* In [0, 1). */
static double uniform(uint64_t *state)
{
	return (double)(next_random(state) >> 11) * 0x1p-53;
}

/* Near enough to a normal distribution for prices: mean 0, variance 1. */
static double noise(uint64_t *state)
{
	double sum = 0;
	for (int k = 0; k < 12; k++)
		sum += uniform(state);
	return sum - 6;
}

static double *new_column(size_t n)
{
	double *column = calloc(n, sizeof *column);
	if (!column)
		wl_die(1, "cannot allocate a column of %zu bars", n);
	return column;
}

WL_FRAME void generate_bars(struct bars *b, size_t n, uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	double price = 100;
	b->n = n;
	b->open = new_column(n);
	b->high = new_column(n);
	b->low = new_column(n);
	b->close = new_column(n);
	b->volume = new_column(n);
	for (size_t i = 0; i < n; i++) {
		double move = 0.002 * noise(&state);
		double close = fmax(1, price * (1 + move));
		b->open[i] = price;
		b->close[i] = close;
		b->high[i] = fmax(price, close) * (1 + 0.001 * uniform(&state));
		b->low[i] = fmin(price, close) * (1 - 0.001 * uniform(&state));
		b->volume[i] = 1000 * (0.5 + uniform(&state)) * (1 + 200 * fabs(move));
		price = close;
	}
}

void release_bars(struct bars *b)
{
	free(b->open);
	free(b->high);
	free(b->low);
	free(b->close);
	free(b->volume);
}

WL_FRAME double calculate_sma(const double *column, size_t i, size_t window)
{
	double sum = 0;
	for (size_t k = i + 1 - window; k <= i; k++)
		sum += column[k];
	return sum / (double)window;
}

static WL_FRAME double true_range(const struct bars *b, size_t i)
{
	double up = fabs(b->high[i] - b->close[i - 1]);
	double down = fabs(b->low[i] - b->close[i - 1]);
	return fmax(b->high[i] - b->low[i], fmax(up, down));
}

/* Wilder's average true range. It is smoothed again over the whole warm-up for every bar, although
 * it could be carried from one bar to the next: the hot spot that a profile of backtest shows. */
WL_FRAME double calculate_atr(const struct bars *b, size_t i, size_t period)
{
	size_t k = i + 1 - (WARM_UP - 1);
	double atr = true_range(b, k);
	while (++k <= i)
		atr += (true_range(b, k) - atr) / (double)period;
	return atr;
}

WL_FRAME double volume_ratio(const struct bars *b, size_t i, size_t window)
{
	return b->volume[i] / calculate_sma(b->volume, i, window);
}

WL_FRAME enum signal generate_signal(const struct bars *b, size_t i)
{
	if (i < WARM_UP)
		return SIGNAL_HOLD;
	double fast = calculate_sma(b->close, i, 20);
	double slow = calculate_sma(b->close, i, 100);
	double atr = calculate_atr(b, i, 14);
	double activity = volume_ratio(b, i, 50);
	/* Trade a trend only where it is wider than the noise and the market takes part. */
	if (activity < 1 || fabs(fast - slow) < 0.5 * atr)
		return SIGNAL_HOLD;
	return fast > slow ? SIGNAL_BUY : SIGNAL_SELL;
}
