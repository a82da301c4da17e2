// A C++ call chain about 60 frames deep, of the kinds that C++ programs have: templates, virtual
// calls and std::function. Built without frame pointers; it burns CPU at several depths.
#include "workload.h"

#include <cstdio>
#include <execinfo.h>
#include <functional>

namespace
{

constexpr int levels = 24;

struct walk {
	double slice;    // CPU seconds at each depth that burns
	uint64_t result; // keeps the work alive
	int frames;      // at the bottom
};

struct stage {
	virtual ~stage() = default;
	virtual uint64_t run(walk &w) const = 0;
};

template <int N> WL_FRAME uint64_t descend(walk &w);

template <int N> struct numbered_stage final : stage {
	WL_FRAME uint64_t run(walk &w) const override
	{
		return descend<N>(w) + 1;
	}
};

// The compiler cannot see which stage it gets, so the call stays virtual.
WL_FRAME uint64_t run_stage(const stage &s, walk &w)
{
	return s.run(w) ^ 1;
}

WL_FRAME uint64_t apply(const std::function<uint64_t(walk &)> &f, walk &w)
{
	return f(w) ^ 2;
}

template <int N> WL_FRAME uint64_t descend(walk &w)
{
	uint64_t x;
	if constexpr (N == 0) {
		void *frames[256];
		w.frames = backtrace(frames, 256);
		return wl_burn(w.slice);
	} else {
		if constexpr (N % 3 == 0)
			x = apply([](walk &v) { return descend<N - 1>(v) + 3; }, w);
		else if constexpr (N % 3 == 1)
			x = run_stage(numbered_stage<N - 1>(), w);
		else
			x = descend<N - 1>(w);
		// After the call: the frame is needed until here.
		if constexpr (N % 10 == 0)
			x ^= wl_burn(w.slice);
		return x + N;
	}
}

} // namespace

int main(int argc, char **argv)
{
	double seconds = 1;
	const wl_option options[] = {
		{"--seconds", nullptr, &seconds, 0, 3600, "CPU time to spend"},
		{nullptr, nullptr, nullptr, 0, 0, nullptr},
	};
	wl_parse(argc, argv, options);

	walk w = {0.002, 0, 0};
	const double end = wl_thread_cpu() + seconds;
	do {
		w.result ^= descend<levels>(w);
	} while (wl_thread_cpu() < end);
	std::printf("frames  %d\n", w.frames);
	return 0;
}
