/* Names of functions made short: names as demanglers and runtimes write them, and their labels. */
#include "pmuflame/mem.h"
#include "pmuflame/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct pmf_name_keep nothing;

static void expect(const char *name, struct pmf_name_keep keep, const char *want)
{
	struct pmf_buf got = PMF_BUF_INIT;

	pmf_name_add_label(&got, name, keep);
	assert_string_equal(pmf_buf_str(&got), want);
	pmf_buf_release(&got);
}

struct label {
	const char *name, *want;
};

static void expect_all(const struct label *labels, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect(labels[i].name, nothing, labels[i].want);
}

static void cxx(void **state)
{
	static const struct label labels[] = {
		{"std::vector<int, std::allocator<int> >::push_back(int const&)",
			"std::vector<…>::push_back"},
		{"void std::sort<int*>(int*, int*)", "std::sort<int*>"},
		{"unsigned long ns::sum<unsigned long, 3ul>(unsigned long*)", "ns::sum<…>"},
		{"std::map<int, A, std::less<int> > const& make<std::vector<A>, 2>(A const&)",
			"make<…>"},
		{"f(void (*)(int, char), int (&) [3])", "f"},
		{"(anonymous namespace)::f(int)", "(anonymous namespace)::f"},
		{"a::(anonymous namespace)::B::f(int) const &", "a::(anonymous namespace)::B::f"},
		{"L::f() const::{lambda(auto:1)#1}::operator()<int>(int) const",
			"L::f::{lambda#1}::operator()<int>"},
		{"f(int)::'lambda'(int)::operator()(int) const", "f::'lambda'::operator()"},
		{"f(int)::A::~A()", "f::A::~A"},
		{"decltype (fp.begin()) f<std::vector<int>, 1>(int)", "f<…>"},
		{"decltype(auto) f<std::vector<int>, 1>(int)", "f<…>"},
		{"std::enable_if<((sizeof (int))>(2)), int>::type f<int>(int)", "f<int>"},
		{"f<(N<8), (a>b), B::value>(int)", "f<…>"},
		{"non-virtual thunk to A<std::vector<int> >::f(int)",
			"non-virtual thunk to A<…>::f"},
		{"guard variable for f(int)::x", "guard variable for f::x"},
		{"int (*f<std::vector<int> >(int))(char)", "int (*f<…>(int))(char)"},
		{"f[abi:cxx11](int)", "f[abi:cxx11]"},
		{"f(int) [clone .isra.0] [clone .cold]", "f [clone .isra.0] [clone .cold]"},
		{"void f<std::vector<int> >(int) (.cold)", "f<…> (.cold)"},
		{"f(int)@plt", "f@plt"},
		{"std::function<int (int, std::vector<int>)>::operator()(int) const",
			"std::function<…>::operator()"},
	};

	(void)state;
	expect_all(labels, PMF_ARRAY_SIZE(labels));
}

static void operators(void **state)
{
	static const struct label labels[] = {
		{"std::ostream& operator<< <std::char_traits<char> >(std::ostream&)",
			"operator<< <…>"},
		{"bool operator< <std::vector<A>, 3>(A const&, A const&)", "operator< <…>"},
		{"bool operator==<std::vector<A>, 3>(A const&, A const&)", "operator==<…>"},
		{"bool operator>><std::vector<A>, 3>(A const&)", "operator>><…>"},
		{"A::operator<=>(A const&) const", "A::operator<=>"},
		{"A::operator->()", "A::operator->"},
		{"A::operator->*(int)", "A::operator->*"},
		{"A::operator()(int)", "A::operator()"},
		{"A::operator[](int)", "A::operator[]"},
		{"A::operator,(int)", "A::operator,"},
		{"A::operator bool() const", "A::operator bool"},
		{"A::operator std::basic_string<char, std::alloc>() const",
			"A::operator std::basic_string<…>"},
		{"A::operator int*<int>() const", "A::operator int*<int>"},
		{"operator new[](unsigned long)", "operator new[]"},
		{"operator delete(void*, unsigned long)", "operator delete"},
		{"operator\"\" _km(unsigned long long)", "operator\"\" _km"},
		{"my_operator<std::vector<int> >(int)", "my_operator<…>"},
	};

	(void)state;
	expect_all(labels, PMF_ARRAY_SIZE(labels));
}

static void other_languages(void **state)
{
	static const struct label labels[] = {
		/* Rust. */
		{"core::ptr::drop_in_place<alloc::vec::Vec<alloc::string::String>>",
			"core::ptr::drop_in_place<…>"},
		{"core::iter::map::<alloc::vec::Vec<u8>, fn(u8) -> u8>", "core::iter::map::<…>"},
		{"<alloc::vec::Vec<core::option::Option<T>> as Iterator>::next",
			"<alloc::vec::Vec<…> as Iterator>::next"},
		{"<fn(i32) -> u8 as FnOnce<(i32,)>>::call_once",
			"<fn(i32) -> u8 as FnOnce<(i32,)>>::call_once"},
		{"core::fmt::num::<impl core::fmt::Debug for u32>::fmt",
			"core::fmt::num::<impl core::fmt::Debug for u32>::fmt"},
		{"a::main::{{closure}}<std::vec::Vec<u8>>",
			"a::main::{{closure}}<std::vec::Vec<u8>>"},
		{"a::main::{closure#0}", "a::main::{closure#0}"},
		/* Java, D. */
		{"int java.util.Map.get(java.lang.Object)", "java.util.Map.get"},
		{"void A$B.<init>(int, java.util.List)", "A$B.<init>"},
		{"std.stdio.writeln!(immutable(char)[]).writeln(immutable(char)[])",
			"std.stdio.writeln!(…).writeln"},
	};
	static const char *const as_they_are[] = {
		"main",
		"f.constprop.0",
		"",
		/* Go. */
		"main.(*T).method",
		"main.Max[go.shape.int]",
		"a.com/b.(*Box[go.shape.struct { X int; Y func(int) string }]).Do",
		"type:.eq.struct { F uintptr; R *os.File }",
		/* Swift, Zig, Objective-C, JavaScript. */
		"main.Foo.bar(x: Swift.Int) -> Swift.String",
		"closure #1 () -> () in main.f() -> ()",
		"array_list.ArrayListAligned(u8,null).append",
		"-[NSFoo bar:baz:]",
		"LazyCompile:*f /home/x (copy)/a(1).js:1:2",
		/* Nothing at all. */
		"f(int) requires",
		"f(",
		")f(int)",
		"f<a>b>(",
		"<",
		">>>",
		"operator",
		"operator<",
		"a \"b\" f(int)",
		"f(int)[",
		"{lambda(",
		"[f(a)+0x12]",
	};

	(void)state;
	expect_all(labels, PMF_ARRAY_SIZE(labels));
	for (size_t i = 0; i < PMF_ARRAY_SIZE(as_they_are); i++)
		expect(as_they_are[i], nothing, as_they_are[i]);
}

static void what_is_to_be_kept(void **state)
{
	static const char name[] = "void a::f<V<A<int, long>, B> >(V<A<int, long>, B> const&)"
				   "::{lambda(V<A<int, long>, B>)#1}::operator()(int) const";

	(void)state;
	expect(name, nothing, "a::f<…>::{lambda#1}::operator()");
	expect(name, (struct pmf_name_keep){true, 0},
		"a::f<…>(V<…> const&)::{lambda(V<…>)#1}::operator()(int) const");
	expect(name, (struct pmf_name_keep){false, 1}, "a::f<V<…> >::{lambda#1}::operator()");
	expect(name, (struct pmf_name_keep){false, 2}, "a::f<V<A<…>, B> >::{lambda#1}::operator()");
	expect(name, (struct pmf_name_keep){true, 1},
		"a::f<V<…> >(V<A<…>, B> const&)::{lambda(V<A<…>, B>)#1}::operator()(int) const");
	expect(name, (struct pmf_name_keep){true, PMF_NAME_ALL_ARGS}, name + strlen("void "));
}

static void strings_are_called_so(void **state)
{
	static const struct label labels[] = {
		{"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"
		 "::compare(char const*) const",
			"std::string::compare"},
		{"std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char>>"
		 "::size() const",
			"std::string::size"},
		{"std::basic_string_view<char, std::char_traits<char> >::find(char)",
			"std::string_view::find"},
		{"std::basic_string<char, std::char_traits<char>, Mine<char> >::find(char)",
			"std::basic_string<…>::find"},
		{"my::std::basic_string_view<char, std::char_traits<char> >::find(char)",
			"my::std::basic_string_view<…>::find"},
	};

	(void)state;
	expect_all(labels, PMF_ARRAY_SIZE(labels));
	expect("f<A<int>, std::basic_string_view<char, std::char_traits<char> > >(int)",
		(struct pmf_name_keep){false, 1}, "f<A<int>, std::string_view >");
}

/* Time that grows with more than the length would not end here; brackets deep in each other need no
 * stack. */
static void hostile(void **state)
{
	static const struct {
		const char *part, *end;
	} cases[] = {{"a()::", "b()"}, {"a()::", "b("}, {"a<", ""}, {"a<", ">()"}, {"(", ""},
		{"operator<", "()"}, {"f() ", "[clone .cold]"}, {" [clone .cold]", ""},
		{"{lambda(", ""}, {"a ", "b()"}};
	enum { BYTES = 60000 };

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_buf name = PMF_BUF_INIT, label = PMF_BUF_INIT;

		while (name.len < BYTES)
			pmf_buf_addstr(&name, cases[i].part);
		pmf_buf_addstr(&name, cases[i].end);
		pmf_name_add_label(&label, pmf_buf_str(&name), nothing);
		assert_true(label.len <= name.len);
		pmf_buf_release(&name);
		pmf_buf_release(&label);
	}
}

static void clones(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		bool part;
	} names[] = {
		{"f.cold", 1, true},
		{"f.cold.12", 1, true},
		{"f.part.0", 1, true},
		{"f.constprop.0", 1, false},
		{"f.isra.0", 1, false},
		{"f.lto_priv.3", 1, false},
		{"f.llvm.1234567890", 1, false},
		{"f.localalias", 1, false},
		{"f.isra.0.part.3.cold", 1, true},
		{"f.__uniq.77.llvm.5", 1, false},
		{"f(int) [clone .cold]", 6, true},
		{"f(int) [clone .isra.0] [clone .part.1]", 6, true},
		{"f(int) (.isra.0.cold)", 6, true},
		{"f(int) (.constprop.0)", 6, false},
		/* Functions of their own. */
		{"f", 1, false},
		{"main._omp_fn.0", 14, false},
		{"f.part", 6, false},
		{"f.isra.0.x", 10, false},
		{".cold", 5, false},
		{"f.0", 3, false},
		{"cold", 4, false},
		{"a.scold", 7, false},
		{"f(int) [clone .x]", 17, false},
		{"f (x)", 5, false},
		{"f (.x.cold)", 11, false},
		{"", 0, false},
		{".", 1, false},
		{"]", 1, false},
		{" ()", 3, false},
		{" (.cold)", 8, false},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		assert_int_equal(pmf_name_without_clone(names[i].name), names[i].len);
		assert_int_equal(pmf_name_is_part(names[i].name), names[i].part);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cxx),
		cmocka_unit_test(operators),
		cmocka_unit_test(other_languages),
		cmocka_unit_test(what_is_to_be_kept),
		cmocka_unit_test(strings_are_called_so),
		cmocka_unit_test(hostile),
		cmocka_unit_test(clones),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
