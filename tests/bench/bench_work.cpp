// Programs of a fixed amount of work, so that a profiler's slowdown can be seen:
//   bench_work cpp ROUNDS        an evaluator of expressions: virtual calls, std::function,
//                                std::sort and std::map, 45 to 60 frames deep
//   bench_work threads ROUNDS    the same evaluator on 64 threads at once
//   bench_work recursion ROUNDS  work at every depth down to 5,000 frames
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace
{

constexpr unsigned levels = 29; // of the expression: two or three frames each
constexpr unsigned nr_threads = 64;
constexpr unsigned recursion_depth = 5000;

uint64_t next(uint64_t x)
{
	return x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

struct env {
	std::map<std::string, uint64_t> names;
	std::vector<uint64_t> column;
	uint64_t seed = 1;
};

struct expr {
	virtual ~expr() = default;
	virtual uint64_t eval(env &e) const = 0;
};

using expr_ptr = std::unique_ptr<expr>;

struct lookup final : expr {
	uint64_t eval(env &e) const override
	{
		uint64_t sum = 0;
		for (unsigned i = 0; i < 8; i++) {
			e.seed = next(e.seed);
			sum += e.names["symbol-" + std::to_string(e.seed >> 56)]++;
		}
		return sum;
	}
};

struct median final : expr {
	uint64_t eval(env &e) const override
	{
		for (uint64_t &v : e.column)
			v = e.seed = next(e.seed);
		std::sort(e.column.begin(), e.column.end(),
			[](uint64_t a, uint64_t b) { return (a ^ b >> 1) < (b ^ a >> 1); });
		return e.column[e.column.size() / 2];
	}
};

struct both final : expr {
	expr_ptr left, right;
	both(expr_ptr l, expr_ptr r) : left(std::move(l)), right(std::move(r))
	{
	}
	uint64_t eval(env &e) const override
	{
		uint64_t x = left->eval(e);
		return x ^ right->eval(e) << 1;
	}
};

struct call final : expr {
	std::function<uint64_t(env &)> f;
	explicit call(expr_ptr arg)
	    : f([a = std::shared_ptr<expr>(std::move(arg))](env &e) { return a->eval(e) + 1; })
	{
	}
	uint64_t eval(env &e) const override
	{
		return f(e) + 1;
	}
};

// One long spine with short branches, so that the deep end gets most of the work.
expr_ptr build(unsigned level)
{
	if (level == 0)
		return std::make_unique<both>(
			std::make_unique<median>(), std::make_unique<lookup>());
	expr_ptr below = build(level - 1);
	if (level % 7 == 0)
		return std::make_unique<both>(std::make_unique<lookup>(), std::move(below));
	return std::make_unique<call>(std::move(below));
}

uint64_t run_expr(uint64_t rounds)
{
	env e;
	e.column.resize(96);
	const expr_ptr top = build(levels);
	uint64_t x = 0;
	for (uint64_t i = 0; i < rounds; i++)
		x ^= top->eval(e);
	return x;
}

uint64_t run_threads(uint64_t rounds)
{
	std::vector<std::thread> threads;
	std::vector<uint64_t> results(nr_threads);
	for (unsigned i = 0; i < nr_threads; i++)
		threads.emplace_back(
			[&results, i, rounds] { results[i] = run_expr(rounds / nr_threads); });
	for (std::thread &t : threads)
		t.join();
	return results[0];
}

__attribute__((noinline)) uint64_t descend(unsigned left, uint64_t x)
{
	for (unsigned i = 0; i < 200; i++)
		x = next(x);
	if (left)
		x = descend(left - 1, x);
	return next(x); // after the call: no tail call
}

uint64_t run_recursion(uint64_t rounds)
{
	uint64_t x = 1;
	while (rounds--)
		x = descend(recursion_depth, x);
	return x;
}

} // namespace

int main(int argc, char **argv)
{
	const uint64_t rounds = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 0;
	uint64_t x;
	if (rounds && std::strcmp(argv[1], "cpp") == 0)
		x = run_expr(rounds);
	else if (rounds && std::strcmp(argv[1], "threads") == 0)
		x = run_threads(rounds);
	else if (rounds && std::strcmp(argv[1], "recursion") == 0)
		x = run_recursion(rounds);
	else {
		std::fputs("usage: bench_work cpp|threads|recursion ROUNDS\n", stderr);
		return 2;
	}
	std::printf("%llu\n", static_cast<unsigned long long>(x));
	return 0;
}
