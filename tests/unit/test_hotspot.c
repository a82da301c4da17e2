/* A Java VM's memory, this process's own, as it should be and as it should not. */
#include "libjvm.h"
#include "pmuflame/arch.h"
#include "pmuflame/hotspot.h"
#include "pmuflame/mem.h"
#include <dlfcn.h>
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "skip.h"
#include <cmocka.h>

struct vm {
	struct pmf_process_table table;
	struct pmf_process *p;
	struct pmf_hotspot *h;
	void *lib;
	uint64_t now_ns;
	struct fake_array array;
	struct fake_heap heap, *heaps[1];
	_Alignas(FAKE_SEGMENT) uint8_t memory[FAKE_SEGMENTS * FAKE_SEGMENT];
	uint8_t segmap[FAKE_SEGMENTS];
	struct fake_symbol klass_name, name, signature;
	struct fake_klass klass;
	struct {
		struct fake_pool pool;
		struct fake_symbol *symbols[3];
	} pool;
	struct fake_const constant;
	_Alignas(8) struct fake_method method;
};

static void set_symbol(struct fake_symbol *s, const char *text)
{
	s->len = (uint16_t)strlen(text);
	memcpy(s->body, text, s->len);
}

/* A block of @n segments from number @at on. */
static struct fake_blob *put_blob(
	struct vm *v, size_t at, size_t n, const char *name, int32_t frame)
{
	struct fake_block *block = (void *)(v->memory + at * FAKE_SEGMENT);
	struct fake_blob *blob = (void *)(block + 1);

	for (size_t i = 0; i < n; i++)
		v->segmap[at + i] = (uint8_t)PMF_MIN(i, 254u);
	block->used = 1;
	*blob = (struct fake_blob){
		.name = name, .frame_size = frame, .frame_complete = 11, .code_offset = 320};
	return blob;
}

static int setup(void **state)
{
	struct vm *v = aligned_alloc(
		FAKE_SEGMENT, (sizeof *v + FAKE_SEGMENT - 1) / FAKE_SEGMENT * FAKE_SEGMENT);
	const char *builddir = getenv("builddir");
	char *path = pmf_asprintf("%s/tests/unit/libjvm.so", builddir ? builddir : ".");
	struct fake_vm *(*get)(void);

	memset(v, 0, sizeof *v);
	v->lib = dlopen(path, RTLD_NOW);
	free(path);
	if (!v->lib)
		fail_msg("%s", dlerror());
	*(void **)&get = dlsym(v->lib, "fake_vm_get");
	get()->heaps = &v->array;
	v->array = (struct fake_array){1, v->heaps};
	v->heaps[0] = &v->heap;
	v->heap = (struct fake_heap){{v->memory, v->memory + sizeof v->memory},
		{v->segmap, v->segmap + sizeof v->segmap}, 7};
	memset(v->segmap, 255, sizeof v->segmap);
	set_symbol(&v->klass_name, "java/util/HashMap");
	set_symbol(&v->name, "get");
	set_symbol(&v->signature, "(Ljava/lang/Object;)Ljava/lang/Object;");
	v->klass.name = &v->klass_name;
	v->pool.pool.holder = &v->klass;
	v->pool.symbols[1] = &v->name;
	v->pool.symbols[2] = &v->signature;
	v->constant.pool = (void *)&v->pool;
	v->constant.name = 1;
	v->constant.signature = 2;
	v->method.constant = &v->constant;
	pmf_process_table_init(&v->table, true);
	v->p = pmf_process_get(&v->table, getpid());
	assert_int_equal(pmf_process_reread(&v->table, v->p, NULL), 0);
	v->now_ns = 1;
	v->h = pmf_hotspot_of(v->p, v->now_ns);
	assert_non_null(v->h);
	*state = v;
	return 0;
}

static int teardown(void **state)
{
	struct vm *v = *state;

	pmf_process_table_release(&v->table);
	dlclose(v->lib);
	free(v);
	return 0;
}

/* Asked anew, not out of a cache. */
static bool find(struct vm *v, size_t segment, struct pmf_hotspot_code *code)
{
	v->now_ns += 1000000000;
	return pmf_hotspot_find(
		v->h, (uintptr_t)v->memory + segment * FAKE_SEGMENT + 5, v->now_ns, code);
}

static void code_is_found(void **state)
{
	struct vm *v = *state;
	struct fake_blob *blob = put_blob(v, 3, 400, "nmethod", 6);
	struct pmf_hotspot_code code;

	blob->method = &v->method;
	put_blob(v, 403, 2, "Interpreter", 0);
	put_blob(v, 405, 1, "I2C/C2I adapters", -1);
	put_blob(v, 406, 1, "Stub\033[2J", 0);
	assert_false(find(v, 2, &code));
	for (size_t at = 3; at < 403; at += 57) {
		assert_true(find(v, at, &code));
		assert_int_equal(code.kind, PMF_HOTSPOT_METHOD);
		assert_int_equal(code.start, (uintptr_t)blob + 320);
		assert_int_equal(code.frame_bytes, 48);
		assert_int_equal(code.frame_offset, 11);
		assert_int_equal(code.method, (uintptr_t)&v->method);
	}
	assert_true(find(v, 404, &code));
	assert_int_equal(code.kind, PMF_HOTSPOT_INTERPRETER);
	assert_string_equal(pmf_hotspot_code_name(v->h, &code), "Interpreter");
	assert_int_equal(code.frame_bytes, 0);
	assert_int_equal(code.method, 0);
	assert_true(find(v, 405, &code));
	assert_int_equal(code.kind, PMF_HOTSPOT_ADAPTER);
	assert_true(find(v, 406, &code));
	assert_int_equal(code.kind, PMF_HOTSPOT_STUB);
	assert_string_equal(pmf_hotspot_code_name(v->h, &code), "Stub?[2J");
	assert_false(find(v, FAKE_SEGMENTS, &code));
	/* What was freed is gone, but not before it is asked again. */
	((struct fake_block *)(void *)(v->memory + 406 * FAKE_SEGMENT))->used = 0;
	assert_true(pmf_hotspot_find(
		v->h, (uintptr_t)v->memory + 406 * FAKE_SEGMENT + 5, v->now_ns + 1, &code));
}

static void methods_have_names(void **state)
{
	struct vm *v = *state;
	struct pmf_buf b = PMF_BUF_INIT;

	assert_true(pmf_hotspot_method_name(v->h, (uintptr_t)&v->method, &b));
	assert_string_equal(
		pmf_buf_str(&b), "Ljava/util/HashMap;get(Ljava/lang/Object;)Ljava/lang/Object;");
	pmf_buf_clear(&b);
	v->name.body[1] = '\033';
	assert_true(pmf_hotspot_method_name(v->h, (uintptr_t)&v->method, &b));
	assert_non_null(strstr(pmf_buf_str(&b), ";g?t("));
	pmf_buf_release(&b);
}

static void what_is_no_method_has_none(void **state)
{
	struct vm *v = *state;
	struct pmf_buf b = PMF_BUF_INIT;
	const uint64_t method = (uintptr_t)&v->method;

	assert_false(pmf_hotspot_method_name(v->h, 0, &b));
	assert_false(pmf_hotspot_method_name(v->h, method + 1, &b));
	assert_false(pmf_hotspot_method_name(v->h, UINT64_MAX - 7, &b));
	v->name.len = UINT16_MAX;
	assert_false(pmf_hotspot_method_name(v->h, method, &b));
	v->name.len = 0;
	assert_false(pmf_hotspot_method_name(v->h, method, &b));
	v->name.len = 4; /* with a NUL in it */
	assert_false(pmf_hotspot_method_name(v->h, method, &b));
	v->name.len = 3;
	v->constant.signature = 0;
	assert_false(pmf_hotspot_method_name(v->h, method, &b));
	v->klass.name = NULL;
	assert_false(pmf_hotspot_method_name(v->h, method, &b));
	assert_int_equal(b.len, 0);
	pmf_buf_release(&b);
}

static void broken_heaps_have_no_code(void **state)
{
	struct vm *v = *state;
	struct pmf_hotspot_code code;
	struct fake_blob *blob = put_blob(v, 3, 2, "nmethod", 6);

	v->segmap[4] = 200; /* before the heap */
	assert_false(find(v, 4, &code));
	/* Pieces that were joined are told step by step. */
	memset(v->segmap + 4, 1, FAKE_SEGMENTS - 4);
	assert_true(find(v, FAKE_SEGMENTS - 1, &code));
	v->segmap[4] = 1;
	blob->name = NULL;
	assert_false(find(v, 4, &code));
	blob->name = "nmethod";
	blob->frame_size = INT32_MAX;
	blob->frame_complete = -1;
	assert_true(find(v, 4, &code));
	assert_int_equal(code.frame_bytes, 0);
	assert_int_equal(code.frame_offset, 0);
}

static void heaps_that_cannot_be_are_left_out(void **state)
{
	struct vm *v = *state;
	struct pmf_hotspot_code code;

	put_blob(v, 3, 2, "nmethod", 6);
	v->heap.log2 = 63;
	assert_false(find(v, 4, &code));
	v->heap.log2 = 7;
	v->array.n = UINT32_MAX;
	assert_false(find(v, 4, &code));
	v->array.n = 1;
	v->heap.memory.high = (uint8_t *)UINTPTR_MAX;
	assert_false(find(v, 4, &code));
	v->heap.memory.high = v->memory + sizeof v->memory;
	v->heaps[0] = NULL;
	assert_false(find(v, 4, &code));
	v->heaps[0] = &v->heap;
	assert_true(find(v, 4, &code));
}

static void tables_that_lie_are_not_used(void **state)
{
	struct vm *v = *state;
	struct fake_field **fields = dlsym(v->lib, "gHotSpotVMStructs"), *f;
	uint64_t *stride = dlsym(v->lib, "gHotSpotVMStructEntryArrayStride"), was = *stride;

	pmf_hotspot_free(v->p->hotspot);
	v->p->hotspot = NULL;
	for (int i = 0; i < 3; i++) {
		v->p->hotspot_generation = 0; /* look again */
		for (f = *fields; strcmp(f->field, "_name_index") != 0; f++)
			;
		*stride = i == 0 ? UINT64_MAX : was;
		f->offset = i == 1 ? UINT64_MAX / 2 : 8;
		f->type = i == 2 ? "Other" : "ConstMethod";
		assert_null(pmf_hotspot_of(v->p, 1));
		pmf_hotspot_free(v->p->hotspot);
		v->p->hotspot = NULL;
	}
	f->type = "ConstMethod";
	/* A second place for where code begins, which is far outside. */
	for (f = *fields; strcmp(f->field, "_other") != 0; f++)
		;
	f->field = "_code_begin";
	v->p->hotspot_generation = 0;
	assert_null(pmf_hotspot_of(v->p, 1));
	pmf_hotspot_free(v->p->hotspot);
	v->p->hotspot = NULL;
	f->field = "_other";
	v->p->hotspot_generation = 0;
	assert_non_null(pmf_hotspot_of(v->p, 1));
}

static void elsewhere(void **state)
{
	(void)state;
	skip_because("Java's frames are known on x86-64 only");
}

int main(void)
{
	const struct CMUnitTest others[] = {cmocka_unit_test(elsewhere)};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(code_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(methods_have_names, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_method_has_none, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_heaps_have_no_code, setup, teardown),
		cmocka_unit_test_setup_teardown(heaps_that_cannot_be_are_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(tables_that_lie_are_not_used, setup, teardown),
	};

	if (pmf_arch_native()->elf_machine != EM_X86_64)
		return cmocka_run_group_tests(others, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
