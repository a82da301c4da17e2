/* Frame colours. The hue says the kind, its neighbourhood the module, the lightness the name.
 *
 * Colours are set in OKLCH (CSS Color 4, section 9), whose lightness is what the eye sees: every
 * frame carries its label with the same contrast. The kinds' hues (amber, yellow, rose, blue, teal)
 * follow Okabe and Ito's set, which people with the common colour blindnesses tell apart. */
#include "pmuflame/hash.h"
#include "render_priv.h"

#include <math.h>
#include <string.h>

struct hue {
	float degrees, spread; /* of the first module step, and between steps */
	float chroma;
	float light, dark; /* lightness on a light and on a dark page */
};

static const struct hue hues[] = {
	[PMF_FRAME_ROOT] = {80, 0, 0.008f, 0.900f, 0.330f},
	[PMF_FRAME_PROCESS] = {80, 0, 0.016f, 0.860f, 0.390f},
	[PMF_FRAME_KERNEL] = {318, 8, 0.098f, 0.775f, 0.480f},
	[PMF_FRAME_NATIVE] = {50, 10, 0.124f, 0.820f, 0.530f},
	[PMF_FRAME_INLINED] = {93, 4, 0.105f, 0.910f, 0.560f},
	[PMF_FRAME_PYTHON] = {236, 9, 0.092f, 0.790f, 0.490f},
	[PMF_FRAME_JIT] = {160, 9, 0.092f, 0.820f, 0.500f},
	[PMF_FRAME_THREAD] = {80, 0, 0.012f, 0.880f, 0.360f},
	[PMF_FRAME_SPECIAL] = {80, 0, 0.005f, 0.860f, 0.400f},
};

unsigned pmf_colour_of(enum pmf_frame_kind kind, const char *module, const char *name)
{
	unsigned shade = 0;

	/* A plain kind has one colour. */
	if (hues[kind].spread > 0) {
		uint64_t m = pmf_hash_bytes(module, strlen(module)) % PMF_COLOUR_STEPS;
		uint64_t n = pmf_hash_bytes(name, strlen(name)) % PMF_COLOUR_STEPS;

		shade = (unsigned)(m * PMF_COLOUR_STEPS + n);
	}
	return (unsigned)kind * PMF_COLOURS_PER_KIND + shade;
}

unsigned pmf_colour_of_kind(enum pmf_frame_kind kind)
{
	return (unsigned)kind * PMF_COLOURS_PER_KIND +
	       (hues[kind].spread > 0 ? PMF_COLOUR_STEPS + 1 : 0);
}

unsigned pmf_colour_of_paint(enum pmf_paint paint)
{
	return PMF_FRAME_KINDS * PMF_COLOURS_PER_KIND + paint;
}

static unsigned channel(double linear)
{
	double v = linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - 0.055;

	return (unsigned)(255 * fmin(fmax(v, 0), 1) + 0.5);
}

/* OKLab's matrices are those of B. Ottosson, "A perceptual color space for image processing". */
static unsigned oklch_to_rgb(double lightness, double chroma, double degrees)
{
	double turn = degrees * 3.14159265358979323846 / 180;
	double a = chroma * cos(turn), b = chroma * sin(turn);
	double l = lightness + 0.3963377774 * a + 0.2158037573 * b;
	double m = lightness - 0.1055613458 * a - 0.0638541728 * b;
	double s = lightness - 0.0894841775 * a - 1.2914855480 * b;

	l = l * l * l;
	m = m * m * m;
	s = s * s * s;
	return channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s) << 16 |
	       channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s) << 8 |
	       channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

/* Vermilion and blue differ to every common kind of colour vision; the larger the change, the darker on
 * a light page and the lighter on a dark one. */
static unsigned paint_to_rgb(enum pmf_paint paint, bool dark)
{
	static const struct {
		double light, dark, chroma;
	} steps[] = {
		{0.93, 0.35, 0.04}, {0.88, 0.40, 0.08}, {0.82, 0.46, 0.12}, {0.76, 0.52, 0.15}};
	bool grew = paint < PMF_PAINT_SHRANK;
	size_t step = paint - (grew ? PMF_PAINT_GREW : PMF_PAINT_SHRANK);

	if (paint == PMF_PAINT_CHANCE)
		return oklch_to_rgb(dark ? 0.36 : 0.89, 0, 0);
	return oklch_to_rgb(
		dark ? steps[step].dark : steps[step].light, steps[step].chroma, grew ? 48 : 245);
}

unsigned pmf_colour_rgb(unsigned colour, bool dark)
{
	unsigned first_paint = pmf_colour_of_paint(PMF_PAINT_CHANCE);
	const struct hue *h = &hues[colour < first_paint ? colour / PMF_COLOURS_PER_KIND : 0];
	unsigned shade = colour % PMF_COLOURS_PER_KIND;
	unsigned module_step = shade / PMF_COLOUR_STEPS, name_step = shade % PMF_COLOUR_STEPS;
	double lightness = dark ? h->dark : h->light;

	if (colour >= first_paint)
		return paint_to_rgb((enum pmf_paint)(colour - first_paint), dark);

	/* The plain kinds have no shades, so no step moves their lightness. */
	if (h->spread > 0)
		lightness += (name_step - 1.5) * (dark ? 0.024 : 0.022);
	return oklch_to_rgb(lightness, dark ? h->chroma * 0.95 : h->chroma,
		h->degrees + module_step * h->spread);
}
