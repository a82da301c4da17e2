/* HotSpot's code cache and methods, by the tables that it exports. Its code heaps are divided into segments of
 * equal size, and a map has a byte for each: 0 where a block starts, 255 where nothing is, else how far back at
 * least the block starts (OpenJDK's src/hotspot/share/memory/heap.hpp). */
#include "pmuflame/hotspot.h"

#include "pmuflame/buf.h"
#include "pmuflame/hash.h"
#include "pmuflame/mem.h"
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum {
	FIELDS_MAX = 8192, /* entries of a table: there are about 800 */
	STRIDE_MAX = 256,
	TEXT_BYTES = 64,
	SYMBOLS_MAX = 1 << 18, /* of libjvm.so: there are about 1,000 */
	HEAPS_MAX = 8,
	SEGMAP_BYTES = 1024, /* of a segment map: what is read at once */
	READS_MAX = 64,      /* of it, for one block: they reach back over 6 MB */
	BLOB_BYTES = 256,    /* of a CodeBlob: what is read of it */
	SYMBOL_BYTES_MAX = 1024,
	KINDS = 256,
	CACHE = 4096,
	TRIES = 50, /* to find the tables, which are not filled at once */
};
#define RETRY_NS UINT64_C(100000000)
#define FRESH_NS UINT64_C(100000000)
#define CODE_HEAP_BYTES_MAX (UINT64_C(4) << 30)

/* What must be known: a field's offset, or a static field's address. */
enum field {
	HEAPS,
	ARRAY_LEN,
	ARRAY_DATA,
	HEAP_MEMORY,
	HEAP_SEGMAP,
	HEAP_LOG2,
	SPACE_LOW,
	SPACE_HIGH,
	BLOCK_USED,
	BLOB_NAME,
	BLOB_FRAME_SIZE,
	BLOB_FRAME_COMPLETE,
	METHOD_CONST,
	CONST_POOL,
	CONST_NAME,
	CONST_SIGNATURE,
	POOL_HOLDER,
	KLASS_NAME,
	SYMBOL_LENGTH,
	SYMBOL_BODY,
	NR_NEEDED,
	/* One of each two. */
	BLOB_CODE_BEGIN = NR_NEEDED,
	BLOB_CODE_OFFSET,
	COMPILED_METHOD,
	NMETHOD_METHOD,
	NR_FIELDS
};

static const struct {
	const char *type, *name;
} field_names[NR_FIELDS] = {
	[HEAPS] = {"CodeCache", "_heaps"},
	[ARRAY_LEN] = {"GrowableArrayBase", "_len"},
	[ARRAY_DATA] = {"GrowableArray<int>", "_data"},
	[HEAP_MEMORY] = {"CodeHeap", "_memory"},
	[HEAP_SEGMAP] = {"CodeHeap", "_segmap"},
	[HEAP_LOG2] = {"CodeHeap", "_log2_segment_size"},
	[SPACE_LOW] = {"VirtualSpace", "_low"},
	[SPACE_HIGH] = {"VirtualSpace", "_high"},
	[BLOCK_USED] = {"HeapBlock::Header", "_used"},
	[BLOB_NAME] = {"CodeBlob", "_name"},
	[BLOB_FRAME_SIZE] = {"CodeBlob", "_frame_size"},
	[BLOB_FRAME_COMPLETE] = {"CodeBlob", "_frame_complete_offset"},
	[METHOD_CONST] = {"Method", "_constMethod"},
	[CONST_POOL] = {"ConstMethod", "_constants"},
	[CONST_NAME] = {"ConstMethod", "_name_index"},
	[CONST_SIGNATURE] = {"ConstMethod", "_signature_index"},
	[POOL_HOLDER] = {"ConstantPool", "_pool_holder"},
	[KLASS_NAME] = {"Klass", "_name"},
	[SYMBOL_LENGTH] = {"Symbol", "_length"},
	[SYMBOL_BODY] = {"Symbol", "_body"},
	[BLOB_CODE_BEGIN] = {"CodeBlob", "_code_begin"},
	[BLOB_CODE_OFFSET] = {"CodeBlob", "_code_offset"},
	[COMPILED_METHOD] = {"CompiledMethod", "_method"},
	[NMETHOD_METHOD] = {"nmethod", "_method"},
};

struct heap {
	uint64_t low, high, segmap;
	uint32_t log2;
};

struct pmf_hotspot {
	pid_t pid;
	bool ready; /* the tables were read */
	unsigned tries;
	uint64_t tried_ns, heaps_ns;
	const struct pmf_image *libjvm;
	uint64_t bias;
	uint64_t at[NR_FIELDS]; /* UINT64_MAX: not there */
	bool short_complete;    /* CodeBlob::_frame_complete_offset is an int16_t */
	uint64_t pool_bytes, block_bytes;
	struct heap heaps[HEAPS_MAX];
	size_t nr_heaps;
	struct kind {
		uint64_t name_va;
		char name[TEXT_BYTES];
		enum pmf_hotspot_kind kind;
	} kinds[KINDS];
	size_t nr_kinds;
	struct cached {
		uint64_t va, checked_ns;
		bool found;
		struct pmf_hotspot_code code;
	} cache[CACHE];
};

/* ---- Memory ---- */

static bool get(const struct pmf_hotspot *h, uint64_t va, void *out, size_t len)
{
	struct iovec local = {out, len}, remote = {(void *)(uintptr_t)va, len};

	return va && process_vm_readv(h->pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static bool get_u64(const struct pmf_hotspot *h, uint64_t va, uint64_t *out)
{
	return get(h, va, out, sizeof *out);
}

/* A string, cut at the size of @out. What follows its page may not be there. */
static bool get_text(const struct pmf_hotspot *h, uint64_t va, char out[TEXT_BYTES])
{
	size_t len = TEXT_BYTES - 1, first = PMF_MIN(len, (size_t)(4096 - (va & 4095)));

	memset(out, 0, TEXT_BYTES);
	if (!get(h, va, out, first))
		return false;
	return first == len || memchr(out, '\0', first) ||
	       get(h, va + first, out + first, len - first);
}

/* ---- The tables ---- */

/* The value of a variable of libjvm.so's that holds a number or an address. */
static bool get_variable(const struct pmf_hotspot *h, const char *name, uint64_t *out)
{
	size_t bytes, text_bytes;
	const uint8_t *syms = pmf_image_section(h->libjvm, ".dynsym", &bytes, NULL);
	const char *text = (const char *)pmf_image_section(h->libjvm, ".dynstr", &text_bytes, NULL);
	const size_t need = strlen(name) + 1;
	Elf64_Sym sym;

	if (!syms || !text)
		return false;
	for (size_t i = 0; i < PMF_MIN(bytes / sizeof sym, (size_t)SYMBOLS_MAX); i++) {
		memcpy(&sym, syms + i * sizeof sym, sizeof sym);
		if (sym.st_name < text_bytes && need <= text_bytes - sym.st_name &&
			memcmp(text + sym.st_name, name, need) == 0)
			return get_u64(h, sym.st_value + h->bias, out);
	}
	return false;
}

/* How entries of a table look: where it starts, an entry's size, and some of its fields. */
struct table {
	uint64_t start, stride, type_name, field_name, type_string, is_static, offset, address,
		size;
};

static bool open_table(const struct pmf_hotspot *h, bool types, struct table *t)
{
	const struct {
		const char *name;
		uint64_t *to;
	} structs[] = {{"gHotSpotVMStructs", &t->start},
		{"gHotSpotVMStructEntryArrayStride", &t->stride},
		{"gHotSpotVMStructEntryTypeNameOffset", &t->type_name},
		{"gHotSpotVMStructEntryFieldNameOffset", &t->field_name},
		{"gHotSpotVMStructEntryTypeStringOffset", &t->type_string},
		{"gHotSpotVMStructEntryIsStaticOffset", &t->is_static},
		{"gHotSpotVMStructEntryOffsetOffset", &t->offset},
		{"gHotSpotVMStructEntryAddressOffset", &t->address}},
	  type_parts[] = {{"gHotSpotVMTypes", &t->start},
		  {"gHotSpotVMTypeEntryArrayStride", &t->stride},
		  {"gHotSpotVMTypeEntryTypeNameOffset", &t->type_name},
		  {"gHotSpotVMTypeEntrySizeOffset", &t->size}};
	size_t n = types ? PMF_ARRAY_SIZE(type_parts) : PMF_ARRAY_SIZE(structs);

	memset(t, 0, sizeof *t);
	for (size_t i = 0; i < n; i++)
		if (!get_variable(h, types ? type_parts[i].name : structs[i].name,
			    types ? type_parts[i].to : structs[i].to))
			return false;
	return t->start && t->stride >= 8 && t->stride <= STRIDE_MAX;
}

/* A number of @len bytes in an entry; all ones if it lies outside. */
static uint64_t part(const struct table *t, const uint8_t *entry, uint64_t off, size_t len)
{
	uint64_t n = 0;

	if (off > t->stride || t->stride - off < len)
		return UINT64_MAX;
	memcpy(&n, entry + off, len);
	return n;
}

static void take_field(struct pmf_hotspot *h, const struct table *t, const uint8_t *entry)
{
	char type[TEXT_BYTES], name[TEXT_BYTES], of[TEXT_BYTES] = "";

	if (!get_text(h, part(t, entry, t->type_name, 8), type) ||
		!get_text(h, part(t, entry, t->field_name, 8), name))
		return;
	for (size_t i = 0; i < NR_FIELDS; i++) {
		if (strcmp(type, field_names[i].type) != 0 ||
			strcmp(name, field_names[i].name) != 0)
			continue;
		h->at[i] =
			part(t, entry, part(t, entry, t->is_static, 4) ? t->address : t->offset, 8);
		if (i == BLOB_FRAME_COMPLETE && get_text(h, part(t, entry, t->type_string, 8), of))
			h->short_complete = strcmp(of, "int16_t") == 0;
	}
}

static void take_type(struct pmf_hotspot *h, const struct table *t, const uint8_t *entry)
{
	char name[TEXT_BYTES];

	if (!get_text(h, part(t, entry, t->type_name, 8), name))
		return;
	if (strcmp(name, "ConstantPool") == 0)
		h->pool_bytes = part(t, entry, t->size, 8);
	else if (strcmp(name, "HeapBlock") == 0)
		h->block_bytes = part(t, entry, t->size, 8);
}

static bool read_table(struct pmf_hotspot *h, bool types)
{
	uint8_t entry[STRIDE_MAX];
	struct table t;

	if (!open_table(h, types, &t))
		return false;
	for (uint64_t i = 0; i < FIELDS_MAX; i++) {
		if (!get(h, t.start + i * t.stride, entry, t.stride))
			return false;
		if (part(&t, entry, t.type_name, 8) == 0)
			return true;
		if (types)
			take_type(h, &t, entry);
		else
			take_field(h, &t, entry);
	}
	return false;
}

/* Offsets are small, or the tables are not what we take them for. */
static bool is_sane(const struct pmf_hotspot *h)
{
	for (size_t i = HEAPS + 1; i < NR_NEEDED; i++)
		if (h->at[i] > 4096)
			return false;
	return h->at[HEAPS] != UINT64_MAX && h->at[BLOB_NAME] <= BLOB_BYTES - 8 &&
	       h->at[BLOB_FRAME_SIZE] <= BLOB_BYTES - 8 &&
	       h->at[BLOB_FRAME_COMPLETE] <= BLOB_BYTES - 8 &&
	       (h->at[BLOB_CODE_BEGIN] == UINT64_MAX ? h->at[BLOB_CODE_OFFSET]
						     : h->at[BLOB_CODE_BEGIN]) <= BLOB_BYTES - 8 &&
	       (h->at[COMPILED_METHOD] <= BLOB_BYTES - 8 ||
		       h->at[NMETHOD_METHOD] <= BLOB_BYTES - 8) &&
	       h->pool_bytes && h->pool_bytes <= 4096 && h->block_bytes && h->block_bytes <= 64 &&
	       h->at[BLOCK_USED] < h->block_bytes;
}

static bool get_ready(struct pmf_hotspot *h, uint64_t now_ns)
{
	if (h->ready)
		return true;
	if (h->tries >= TRIES || (h->tries && now_ns - h->tried_ns < RETRY_NS))
		return false;
	h->tries++;
	h->tried_ns = now_ns;
	memset(h->at, 0xff, sizeof h->at);
	h->ready = read_table(h, false) && read_table(h, true) && is_sane(h);
	return h->ready;
}

/* libjvm.so among the mappings of @p, or NULL. */
static const struct pmf_map *find_libjvm(const struct pmf_process *p)
{
	for (size_t i = 0; i < p->nr_maps; i++) {
		const struct pmf_image *im = p->maps[i].image;

		if (im->elf && im->elf_machine == EM_X86_64 && strcmp(im->name, "libjvm.so") == 0)
			return &p->maps[i];
	}
	return NULL;
}

static void follow_maps(struct pmf_process *p)
{
	const struct pmf_map *map = find_libjvm(p);
	struct pmf_hotspot *h = p->hotspot;

	p->hotspot_generation = p->maps_generation;
	if (h && map && h->libjvm == map->image && h->bias == map->bias)
		return;
	pmf_hotspot_free(h);
	p->hotspot = NULL;
	if (!map)
		return;
	p->hotspot = h = pmf_zalloc(sizeof *h);
	h->pid = p->pid;
	h->libjvm = map->image;
	h->bias = map->bias;
}

struct pmf_hotspot *pmf_hotspot_of(struct pmf_process *p, uint64_t now_ns)
{
	if (p->hotspot_generation != p->maps_generation)
		follow_maps(p);
	return p->hotspot && p->hotspot->libjvm->elf && get_ready(p->hotspot, now_ns) ? p->hotspot
										      : NULL;
}

void pmf_hotspot_free(struct pmf_hotspot *h)
{
	free(h);
}

/* ---- Code ---- */

static bool get_space(const struct pmf_hotspot *h, uint64_t space, uint64_t *low, uint64_t *high)
{
	return get_u64(h, space + h->at[SPACE_LOW], low) &&
	       get_u64(h, space + h->at[SPACE_HIGH], high) && *low < *high &&
	       *high - *low <= CODE_HEAP_BYTES_MAX;
}

static void read_heaps(struct pmf_hotspot *h, uint64_t now_ns)
{
	uint64_t array, data, at, high;
	uint32_t n;

	h->heaps_ns = now_ns;
	if (!get_u64(h, h->at[HEAPS], &array) || !get(h, array + h->at[ARRAY_LEN], &n, sizeof n) ||
		n > HEAPS_MAX || !get_u64(h, array + h->at[ARRAY_DATA], &data))
		return;
	h->nr_heaps = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct heap *heap = &h->heaps[h->nr_heaps];

		if (get_u64(h, data + i * sizeof at, &at) &&
			get_space(h, at + h->at[HEAP_MEMORY], &heap->low, &heap->high) &&
			get_space(h, at + h->at[HEAP_SEGMAP], &heap->segmap, &high) &&
			get(h, at + h->at[HEAP_LOG2], &heap->log2, sizeof heap->log2) &&
			heap->log2 >= 3 && heap->log2 <= 20)
			h->nr_heaps++;
	}
}

static const struct heap *heap_of(const struct pmf_hotspot *h, uint64_t va)
{
	for (size_t i = 0; i < h->nr_heaps; i++)
		if (va >= h->heaps[i].low && va < h->heaps[i].high)
			return &h->heaps[i];
	return NULL;
}

/* The first segment of the block that holds @segment. */
static bool start_of_block(
	const struct pmf_hotspot *h, const struct heap *heap, uint64_t segment, uint64_t *out)
{
	uint8_t map[SEGMAP_BYTES], back;

	for (int reads = 0; reads < READS_MAX; reads++) {
		uint64_t at = segment - PMF_MIN(segment, (uint64_t)SEGMAP_BYTES - 1);

		if (!get(h, heap->segmap + at, map, (size_t)(segment - at + 1)))
			return false;
		while (segment >= at) {
			back = map[segment - at];
			if (back == 255 || back > segment)
				return false;
			*out = segment;
			if (back == 0)
				return true;
			segment -= back;
		}
	}
	return false;
}

/* The CodeBlob of the block that holds @va; 0 if none does. */
static uint64_t blob_of(const struct pmf_hotspot *h, const struct heap *heap, uint64_t va)
{
	uint64_t segment, block;
	uint8_t used;

	if (!start_of_block(h, heap, (va - heap->low) >> heap->log2, &segment))
		return 0;
	block = heap->low + (segment << heap->log2);
	return get(h, block + h->at[BLOCK_USED], &used, 1) && used == 1 ? block + h->block_bytes
									: 0;
}

static enum pmf_hotspot_kind kind_of(const char *name)
{
	if (strcmp(name, "nmethod") == 0 || strcmp(name, "native nmethod") == 0)
		return PMF_HOTSPOT_METHOD;
	if (strcmp(name, "Interpreter") == 0)
		return PMF_HOTSPOT_INTERPRETER;
	if (pmf_starts_with(name, "I2C/C2I") || pmf_starts_with(name, "vtable") ||
		pmf_starts_with(name, "itable") || pmf_starts_with(name, "adapter"))
		return PMF_HOTSPOT_ADAPTER;
	return PMF_HOTSPOT_STUB;
}

/* The number of the name at @name_va, which is one of few. */
static bool intern_kind(struct pmf_hotspot *h, uint64_t name_va, uint32_t *out)
{
	struct pmf_buf clean = PMF_BUF_INIT;
	char text[TEXT_BYTES];
	struct kind *k;

	for (size_t i = 0; i < h->nr_kinds; i++)
		if (h->kinds[i].name_va == name_va) {
			*out = (uint32_t)i;
			return true;
		}
	if (h->nr_kinds == KINDS)
		return false;
	k = &h->kinds[h->nr_kinds];
	if (!get_text(h, name_va, text))
		return false;
	pmf_buf_addclean(&clean, text, '?');
	snprintf(k->name, sizeof k->name, "%s", pmf_buf_str(&clean));
	pmf_buf_release(&clean);
	k->name_va = name_va;
	k->kind = kind_of(k->name);
	*out = (uint32_t)h->nr_kinds++;
	return true;
}

static bool read_blob(struct pmf_hotspot *h, uint64_t blob, struct pmf_hotspot_code *out)
{
	uint8_t bytes[BLOB_BYTES];
	uint64_t name_va;
	int32_t words, complete = 0, off = 0;
	int16_t complete16;

	if (!get(h, blob, bytes, sizeof bytes))
		return false;
	memcpy(&name_va, bytes + h->at[BLOB_NAME], sizeof name_va);
	memcpy(&words, bytes + h->at[BLOB_FRAME_SIZE], sizeof words);
	if (h->short_complete) {
		memcpy(&complete16, bytes + h->at[BLOB_FRAME_COMPLETE], sizeof complete16);
		complete = complete16;
	} else {
		memcpy(&complete, bytes + h->at[BLOB_FRAME_COMPLETE], sizeof complete);
	}
	if (h->at[BLOB_CODE_BEGIN] != UINT64_MAX) {
		memcpy(&out->start, bytes + h->at[BLOB_CODE_BEGIN], sizeof out->start);
	} else {
		memcpy(&off, bytes + h->at[BLOB_CODE_OFFSET], sizeof off);
		out->start = blob + (uint64_t)off;
	}
	if (!intern_kind(h, name_va, &out->name))
		return false;
	out->kind = h->kinds[out->name].kind;
	out->frame_bytes = words > 1 && words < 1 << 16 ? (uint32_t)words * 8 : 0;
	out->frame_offset = complete > 0 && complete < 1 << 16 ? (uint32_t)complete : 0;
	if (out->kind == PMF_HOTSPOT_METHOD)
		memcpy(&out->method, bytes + PMF_MIN(h->at[COMPILED_METHOD], h->at[NMETHOD_METHOD]),
			sizeof out->method);
	return true;
}

bool pmf_hotspot_find(
	struct pmf_hotspot *h, uint64_t va, uint64_t now_ns, struct pmf_hotspot_code *out)
{
	struct cached *c = &h->cache[pmf_hash_u64(va) % CACHE];
	const struct heap *heap = heap_of(h, va);
	struct pmf_hotspot_code code = {0};
	uint64_t blob;

	if (c->va != va || now_ns - c->checked_ns >= FRESH_NS) {
		if (!heap && now_ns - h->heaps_ns >= FRESH_NS) {
			read_heaps(h, now_ns);
			heap = heap_of(h, va);
		}
		blob = heap ? blob_of(h, heap, va) : 0;
		if (blob && read_blob(h, blob, &code))
			*c = (struct cached){.va = va, .found = true, .code = code};
		else if (c->va != va)
			/* Where a VM that has gone cannot be asked again, the old answer stays. */
			*c = (struct cached){.va = va};
		c->checked_ns = now_ns;
	}
	*out = c->code;
	return c->found;
}

const char *pmf_hotspot_code_name(const struct pmf_hotspot *h, const struct pmf_hotspot_code *code)
{
	return h->kinds[code->name].name;
}

/* ---- Methods ---- */

static bool add_symbol(const struct pmf_hotspot *h, uint64_t symbol, struct pmf_buf *out)
{
	char text[SYMBOL_BYTES_MAX + 1];
	uint16_t len;

	if (!get(h, symbol + h->at[SYMBOL_LENGTH], &len, sizeof len) || len == 0 ||
		len > SYMBOL_BYTES_MAX || !get(h, symbol + h->at[SYMBOL_BODY], text, len))
		return false;
	text[len] = '\0';
	if (strlen(text) != len)
		return false;
	pmf_buf_addclean(out, text, '?');
	return true;
}

/* Entry @index of a constant pool: its symbol. The lowest bits of entries are marks. */
static bool add_constant(
	const struct pmf_hotspot *h, uint64_t pool, uint16_t index, struct pmf_buf *out)
{
	uint64_t symbol;

	return get_u64(h, pool + h->pool_bytes + UINT64_C(8) * index, &symbol) &&
	       add_symbol(h, symbol & ~UINT64_C(1), out);
}

bool pmf_hotspot_method_name(struct pmf_hotspot *h, uint64_t method, struct pmf_buf *out)
{
	uint64_t constant, pool, holder, klass;
	uint16_t name, signature;
	size_t before = out->len;

	if (method % 8 == 0 && get_u64(h, method + h->at[METHOD_CONST], &constant) &&
		get_u64(h, constant + h->at[CONST_POOL], &pool) &&
		get(h, constant + h->at[CONST_NAME], &name, sizeof name) &&
		get(h, constant + h->at[CONST_SIGNATURE], &signature, sizeof signature) &&
		get_u64(h, pool + h->at[POOL_HOLDER], &holder) &&
		get_u64(h, holder + h->at[KLASS_NAME], &klass)) {
		pmf_buf_addch(out, 'L');
		if (add_symbol(h, klass, out)) {
			pmf_buf_addch(out, ';');
			if (add_constant(h, pool, name, out) &&
				add_constant(h, pool, signature, out))
				return true;
		}
	}
	out->len = before;
	return false;
}
