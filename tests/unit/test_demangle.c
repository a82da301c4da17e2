#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include "pmuflame/symbol.h"
#include <stdlib.h>
#include <string.h>

static void expect(const char *mangled, const char *want)
{
	char *got = pmf_symbol_demangle(mangled);

	assert_string_equal(got, want);
	free(got);
}

static void test_cxx(void **state)
{
	(void)state;
	expect("_Z3foov", "foo()");
	expect("_ZN5space5ClassC2ERKSs", "space::Class::Class(std::string const&)");
	expect("_ZNSt6vectorIiSaIiEE9push_backEOi",
		"std::vector<int, std::allocator<int> >::push_back(int&&)");
	expect("_Z3barIiEvT_", "void bar<int>(int)");
	expect("_Z3fooi.cold", "foo(int) [clone .cold]");
	expect("_ZTv0_n24_N1A1fEv", "virtual thunk to A::f()");
}

static void test_rust(void **state)
{
	(void)state;
	expect("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt");
	expect("_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
	       "3bar17h930b740aa94f1d3aE",
		"<Test + 'static as foo::Bar<Test>>::bar");
	expect("_RNvC6_123foo3bar", "123foo::bar");
	expect("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar");
}

static void test_d(void **state)
{
	(void)state;
	expect("_D8demangle4testFZv", "demangle.test()");
}

static void test_others(void **state)
{
	static const char *const same[] = {"", "main", "_start", "_Z", "_Zfoo", "_R", "_D",
		"__libc_start_main", "i", "runtime.main", "_ZN"};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(same); i++)
		expect(same[i], same[i]);
}

/* Templates nest to names of kilobytes in honest programs. */
static void test_long(void **state)
{
	struct pmf_buf b = PMF_BUF_INIT, want = PMF_BUF_INIT;

	(void)state;
	pmf_buf_addstr(&b, "_ZN");
	for (int i = 0; i < 100; i++) {
		pmf_buf_addstr(&b, "20abcdefghijklmnopqrst");
		pmf_buf_printf(&want, "%sabcdefghijklmnopqrst", i ? "::" : "");
	}
	pmf_buf_addstr(&b, "Ev");
	pmf_buf_addstr(&want, "()");
	expect(pmf_buf_str(&b), pmf_buf_str(&want));
	pmf_buf_release(&b);
	pmf_buf_release(&want);
}

/* Each parameter is a pair of the one before: 40 of them would print as terabytes. */
static void test_exponential(void **state)
{
	struct pmf_buf b = PMF_BUF_INIT;
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	(void)state;
	pmf_buf_addstr(&b, "_Z1f1AIiiE");
	for (size_t i = 0; i < sizeof digits - 1; i++)
		pmf_buf_printf(&b, "S_IS%c_S%c_E", digits[i], digits[i]);
	expect(pmf_buf_str(&b), pmf_buf_str(&b));
	pmf_buf_release(&b);
	/* The same for D: fewer levels are let through. */
	pmf_buf_addstr(&b, "_D3foo3barF");
	for (size_t i = 0; i < 100; i++)
		pmf_buf_addstr(&b, "Qb");
	pmf_buf_addstr(&b, "Zv");
	expect(pmf_buf_str(&b), pmf_buf_str(&b));
	pmf_buf_release(&b);
}

static void test_deep(void **state)
{
	static const char *const heads[] = {"_Z1f", "_RINvC1a1f", "_D3foo3barF"};
	static const char *const links[] = {"P", "N1A", "PFv", "R", "XadL", "TB_", "DpT_", "St"};
	static const size_t lengths[] = {900, 4090, 70000, 1000000};

	(void)state;
	for (size_t h = 0; h < PMF_ARRAY_SIZE(heads); h++)
		for (size_t k = 0; k < PMF_ARRAY_SIZE(links); k++)
			for (size_t n = 0; n < PMF_ARRAY_SIZE(lengths); n++) {
				struct pmf_buf b = PMF_BUF_INIT;
				char *got;

				pmf_buf_addstr(&b, heads[h]);
				while (b.len < lengths[n])
					pmf_buf_addstr(&b, links[k]);
				pmf_buf_addstr(&b, "i");
				got = pmf_symbol_demangle(pmf_buf_str(&b));
				assert_true(got[0] != '\0');
				free(got);
				pmf_buf_release(&b);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cxx),
		cmocka_unit_test(test_rust),
		cmocka_unit_test(test_d),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_exponential),
		cmocka_unit_test(test_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
