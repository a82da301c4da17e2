/* Factors of multiplexing, applied to whole numbers without losing any. */
#include "profile_priv.h"

#include <math.h>

/* A double is a whole number of 53 bits over a power of two, so 128 bits hold its products. */
__extension__ typedef unsigned __int128 wide;

static uint64_t split(double scale, unsigned *shift)
{
	int exponent;
	double fraction = frexp(scale, &exponent);

	*shift = (unsigned)(53 - exponent);
	return (uint64_t)ldexp(fraction, 53);
}

uint64_t pmf_profile_scaled(uint64_t raw, double scale)
{
	unsigned shift;
	wide product = (wide)raw * split(scale, &shift);

	return (uint64_t)((product + ((wide)1 << (shift - 1))) >> shift);
}

uint64_t pmf_profile_unscaled(uint64_t value, double scale)
{
	unsigned shift;
	uint64_t factor = split(scale, &shift);

	if (value == 0)
		return 0;
	return (uint64_t)((((wide)(2 * value - 1) << (shift - 1)) + factor - 1) / factor);
}

void pmf_profile_scale_weights(struct pmf_profile *p, size_t e, double scale)
{
	struct pmf_profile_event *ev = &p->events[e];
	uint64_t sum = 0, value = 0;

	for (size_t i = 0; i < p->nr_nodes; i++) {
		uint64_t before = value;

		sum += p->weights[e][i];
		value = pmf_profile_scaled(sum, scale);
		p->weights[e][i] = value - before;
	}
	ev->weight = pmf_profile_scaled(ev->weight, scale);
	ev->unsampled = pmf_profile_scaled(ev->unsampled, scale);
	ev->weight_sq *= scale * scale;
}
