/* Price bars in columns and the signals that the strategy trades on; shared by backtest and
 * signal. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "workload.h"

/* One column per field, as a data frame holds them. */
struct bars {
	size_t n;
	double *open, *high, *low, *close, *volume;
};

enum signal { SIGNAL_HOLD, SIGNAL_BUY, SIGNAL_SELL };

/* Bars that every indicator needs behind it; generate_signal holds before. */
enum { WARM_UP = 500 };

/* A random walk of @n bars; the same @seed gives the same bars. */
void generate_bars(struct bars *b, size_t n, uint64_t seed);
void release_bars(struct bars *b);

/* Each looks at bar @i and what lies before it; @i is at least WARM_UP. */
double calculate_sma(const double *column, size_t i, size_t window);
double calculate_atr(const struct bars *b, size_t i, size_t period);
double volume_ratio(const struct bars *b, size_t i, size_t window);
enum signal generate_signal(const struct bars *b, size_t i);

#endif
