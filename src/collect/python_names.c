/* Python frames as frames of the profile, and which native frames are the interpreter's. */
#include "python_room.h"

#include "pmuflame/buf.h"
#include <stdlib.h>
#include <string.h>

static uint64_t id_hash(uint32_t code, uint32_t lasti)
{
	return pmf_hash_u64((uint64_t)code << 32 | lasti);
}

static bool id_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_py_process *proc = ctx;
	const struct pmf_python_frame *frame = key;

	return proc->ids[value].code == frame->code && proc->ids[value].lasti == frame->lasti;
}

/* What a source file belongs to: the package that was installed with it, else the file. */
static char *module_of(const char *file)
{
	static const char *const folders[] = {"/site-packages/", "/dist-packages/"};
	const char *slash = strrchr(file, '/');

	for (size_t i = 0; i < PMF_ARRAY_SIZE(folders); i++) {
		const char *at = strstr(file, folders[i]);

		if (at) {
			at += strlen(folders[i]);
			return pmf_strndup(at, strcspn(at, "/"));
		}
	}
	return pmf_strdup(slash ? slash + 1 : file);
}

static uint32_t make_frame(struct pmf_py *py, const struct pmf_python_code *code, uint32_t line)
{
	struct pmf_profile *p = py->stacks->profile;
	const char *slash = strrchr(code->file, '/'), *base = slash ? slash + 1 : code->file;
	char *module = module_of(code->file), *label;
	uint32_t id, module_id, path_id, label_id;

	if (line)
		label = pmf_asprintf("%s (%s:%u)", code->name, base, (unsigned)line);
	else
		label = pmf_asprintf("%s (%s)", code->name, base);
	module_id = pmf_strtab_addz(&p->strings, module);
	path_id = pmf_strtab_addz(&p->strings, code->file);
	label_id = pmf_strtab_addz(&p->strings, label);
	/* One frame for each label of each file, whatever process ran it. */
	id = pmf_profile_frame_at(p, PMF_FRAME_PYTHON, UINT32_MAX, module_id, path_id, label_id);
	pmf_profile_name_frame(p, id, label, code->file, line);
	/* Without lines, functions of one name share a frame: it is the first one's. */
	if (!p->frames[id].start_line)
		pmf_profile_set_start_line(p, id, code->first_line);
	free(module);
	free(label);
	return id;
}

/* The one of @at, with @hash, whose code object was told. */
static struct pmf_py_frame_id find_frame(struct pmf_py *py, struct pmf_py_process *proc,
	const struct pmf_python_frame *at, uint64_t hash)
{
	uint32_t i = pmf_index_find(&proc->id_index, hash, id_eq, proc, at);
	const struct pmf_python_code *code = pmf_python_code(proc->codes, at->code);

	if (i != UINT32_MAX)
		return proc->ids[i];
	i = (uint32_t)proc->nr_ids;
	PMF_PUSH(proc->ids, proc->nr_ids, proc->cap_ids) = (struct pmf_py_frame_id){
		at->code, at->lasti, make_frame(py, code, pmf_python_line(proc->codes, at))};
	pmf_index_add(&proc->id_index, hash, i);
	return proc->ids[i];
}

uint32_t pmf_py_frame(
	struct pmf_py *py, struct pmf_py_process *proc, const struct pmf_python_frame *frame)
{
	struct pmf_python_frame at = *frame;
	struct pmf_py_frame_id *recent;
	uint64_t hash;

	if (!py->lines)
		at.lasti = PMF_PYTHON_LASTI_NONE;
	hash = id_hash(at.code, at.lasti);
	recent = &proc->recent[hash % PMF_PY_RECENT];
	/* Frame 0 is none of Python's: an empty place. */
	if (recent->frame && recent->code == at.code && recent->lasti == at.lasti)
		return recent->frame;
	if (!pmf_python_code(proc->codes, at.code))
		return pmf_profile_frame_named(
			py->stacks->profile, PMF_FRAME_PYTHON, "[Python function]");
	*recent = find_frame(py, proc, &at, hash);
	return recent->frame;
}

/* Functions of the interpreter by name; a compiler may have put suffixes behind (".cold"). */
static enum pmf_python_native kind_by_name(const char *name)
{
	static const char *const calls[] = {"_PyEval_Vector", "PyEval_EvalCode", "_PyEval_EvalCode",
		"PyEval_EvalFrame", "_PyEval_EvalFrame", "_PyFunction_Vectorcall",
		"_PyFunction_FastCall", "function_code_fastcall", "py_trampoline_evaluator"};

	if (pmf_starts_with(name, "_PyEval_EvalFrameDefault"))
		return PMF_NATIVE_EVAL;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(calls); i++)
		if (pmf_starts_with(name, calls[i]))
			return PMF_NATIVE_CALL;
	return PMF_NATIVE_OTHER;
}

enum pmf_python_native pmf_py_native(struct pmf_py *py, uint32_t frame)
{
	struct pmf_stacks *s = py->stacks;
	const struct pmf_frame *f = &s->profile->frames[frame];
	enum pmf_python_native kind = PMF_NATIVE_OTHER;
	struct pmf_symbol sym;

	if (frame >= py->nr_native) {
		size_t n = s->profile->cap_frames;

		py->native = pmf_reallocarray(py->native, n, sizeof *py->native);
		memset(py->native + py->nr_native, 0, n - py->nr_native);
		py->nr_native = n;
	}
	if (py->native[frame])
		return (enum pmf_python_native)(py->native[frame] - 1);
	/* The interpreter's own trampolines, with -X perf: each calls a loop. */
	if (f->kind == PMF_FRAME_PYTHON)
		kind = PMF_NATIVE_CALL;
	else if (f->kind == PMF_FRAME_NATIVE && f->image != UINT32_MAX &&
		 pmf_naming_symbol(s, pmf_image_by_id(&s->table, f->image), f->rva, &sym))
		kind = kind_by_name(sym.name);
	py->native[frame] = (uint8_t)(kind + 1);
	return kind;
}

bool pmf_py_hides(const struct pmf_py *py, const char *function)
{
	return !py->interpreter && kind_by_name(function) != PMF_NATIVE_OTHER;
}
