/* A backtest of a trend-following strategy over generated price bars: signal, order, fill,
 * equity. */
#include "signals.h"

#include <math.h>
#include <stdio.h>

struct account {
	double cash;
	double position; /* shares; negative when short */
	double equity, peak, max_drawdown;
	double pending; /* shares ordered, to be filled at the next bar's open */
	double fees;
	uint64_t orders, fills;
};

enum { STARTING_CASH = 100000 };

/* Aim at a position worth half of the equity, on the side of the signal. */
static WL_FRAME void place_order(struct account *a, const struct bars *b, size_t i, enum signal s)
{
	double target = floor(0.5 * a->equity / b->close[i]);
	if (s == SIGNAL_SELL)
		target = -target;
	/* Stay in a position that has the right side: every change costs. */
	if ((a->position > 0 && s == SIGNAL_BUY) || (a->position < 0 && s == SIGNAL_SELL))
		return;
	a->pending = target - a->position;
	a->orders++;
}

static WL_FRAME void match_fills(struct account *a, const struct bars *b, size_t i)
{
	if (a->pending == 0)
		return;
	double slippage = a->pending > 0 ? 1.0001 : 0.9999;
	double price = b->open[i] * slippage;
	double fee = 0.00002 * price * fabs(a->pending);
	a->cash -= price * a->pending + fee;
	a->fees += fee;
	a->position += a->pending;
	a->pending = 0;
	a->fills++;
}

static WL_FRAME void update_equity(struct account *a, const struct bars *b, size_t i)
{
	a->equity = a->cash + a->position * b->close[i];
	a->peak = fmax(a->peak, a->equity);
	a->max_drawdown = fmax(a->max_drawdown, 1 - a->equity / a->peak);
}

static WL_FRAME void run_backtest(struct account *a, const struct bars *b)
{
	for (size_t i = 0; i < b->n; i++) {
		match_fills(a, b, i);
		update_equity(a, b, i);
		if (a->equity <= 0)
			break;
		enum signal s = generate_signal(b, i);
		if (s != SIGNAL_HOLD)
			place_order(a, b, i, s);
	}
}

int main(int argc, char **argv)
{
	uint64_t nr_bars = 700000, seed = 1;
	const struct wl_option options[] = {
		{"--bars", &nr_bars, NULL, 1, 100000000, "price bars to trade on"},
		{"--seed", &seed, NULL, 0, UINT32_MAX, "of the random walk"},
		{NULL, NULL, NULL, 0, 0, NULL},
	};
	wl_parse(argc, argv, options);

	struct bars bars;
	generate_bars(&bars, nr_bars, seed);
	struct account account = {.cash = STARTING_CASH, .peak = STARTING_CASH};
	double start = wl_now();
	run_backtest(&account, &bars);
	double elapsed = wl_now() - start;
	release_bars(&bars);

	printf("bars          %llu\n", (unsigned long long)nr_bars);
	printf("orders        %llu\n", (unsigned long long)account.orders);
	printf("fills         %llu\n", (unsigned long long)account.fills);
	printf("fees          %.2f\n", account.fees);
	printf("final equity  %.2f\n", account.equity);
	printf("max drawdown  %.2f %%\n", 100 * account.max_drawdown);
	printf("speed         %.0f bars/s\n", (double)nr_bars / elapsed);
	return 0;
}
