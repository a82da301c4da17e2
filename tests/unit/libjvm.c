/* A Java VM's tables, code cache and methods, as small as they can be: what test_hotspot.c loads as libjvm.so and
 * then changes. */
#include "libjvm.h"

#include <stddef.h>

struct fake_vm fake_vm;

#define FIELD(type, member, struct_name, field) \
	{ \
		struct_name, field, #type, 0, offsetof(struct type, member), NULL \
	}

static struct fake_field fields[] = {
	{"CodeCache", "_heaps", "GrowableArray<CodeHeap*>*", 1, 0, &fake_vm.heaps},
	FIELD(fake_array, n, "GrowableArrayBase", "_len"),
	FIELD(fake_array, data, "GrowableArray<int>", "_data"),
	FIELD(fake_heap, memory, "CodeHeap", "_memory"),
	FIELD(fake_heap, segmap, "CodeHeap", "_segmap"),
	FIELD(fake_heap, log2, "CodeHeap", "_log2_segment_size"),
	FIELD(fake_space, low, "VirtualSpace", "_low"),
	FIELD(fake_space, high, "VirtualSpace", "_high"),
	FIELD(fake_block, used, "HeapBlock::Header", "_used"),
	FIELD(fake_blob, name, "CodeBlob", "_name"),
	FIELD(fake_blob, frame_size, "CodeBlob", "_frame_size"),
	{"CodeBlob", "_frame_complete_offset", "int16_t", 0,
		offsetof(struct fake_blob, frame_complete), NULL},
	FIELD(fake_blob, code_offset, "CodeBlob", "_code_offset"),
	FIELD(fake_blob, method, "nmethod", "_method"),
	FIELD(fake_method, constant, "Method", "_constMethod"),
	FIELD(fake_const, pool, "ConstMethod", "_constants"),
	FIELD(fake_const, name, "ConstMethod", "_name_index"),
	FIELD(fake_const, signature, "ConstMethod", "_signature_index"),
	FIELD(fake_pool, holder, "ConstantPool", "_pool_holder"),
	FIELD(fake_klass, name, "Klass", "_name"),
	FIELD(fake_symbol, len, "Symbol", "_length"),
	FIELD(fake_symbol, body, "Symbol", "_body"),
	{"CodeBlob", "_other", "address", 0, UINT64_C(1) << 40, NULL},
	{NULL, NULL, NULL, 0, 0, NULL},
};

static struct fake_type types[] = {
	{"ConstantPool", sizeof(struct fake_pool)},
	{"HeapBlock", sizeof(struct fake_block)},
	{NULL, 0},
};

struct fake_field *gHotSpotVMStructs = fields;
uint64_t gHotSpotVMStructEntryArrayStride = sizeof(struct fake_field);
uint64_t gHotSpotVMStructEntryTypeNameOffset = offsetof(struct fake_field, type);
uint64_t gHotSpotVMStructEntryFieldNameOffset = offsetof(struct fake_field, field);
uint64_t gHotSpotVMStructEntryTypeStringOffset = offsetof(struct fake_field, type_string);
uint64_t gHotSpotVMStructEntryIsStaticOffset = offsetof(struct fake_field, is_static);
uint64_t gHotSpotVMStructEntryOffsetOffset = offsetof(struct fake_field, offset);
uint64_t gHotSpotVMStructEntryAddressOffset = offsetof(struct fake_field, address);
struct fake_type *gHotSpotVMTypes = types;
uint64_t gHotSpotVMTypeEntryArrayStride = sizeof(struct fake_type);
uint64_t gHotSpotVMTypeEntryTypeNameOffset = offsetof(struct fake_type, name);
uint64_t gHotSpotVMTypeEntrySizeOffset = offsetof(struct fake_type, size);

/* Code, so that the library is mapped as such. */
struct fake_vm *fake_vm_get(void)
{
	return &fake_vm;
}
