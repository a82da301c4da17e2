/* What libjvm.c and test_hotspot.c agree on. */
#ifndef LIBJVM_H
#define LIBJVM_H

#include <stdint.h>

struct fake_field {
	const char *type, *field, *type_string;
	int32_t is_static;
	uint64_t offset;
	void *address;
};
struct fake_type {
	const char *name;
	uint64_t size;
};

enum { FAKE_SEGMENT = 128, FAKE_SEGMENTS = 512 };

struct fake_space {
	uint8_t *low, *high;
};
struct fake_heap {
	struct fake_space memory, segmap;
	uint32_t log2;
};
struct fake_array {
	uint32_t n;
	struct fake_heap **data;
};
struct fake_block {
	uint32_t length;
	uint8_t used;
};
struct fake_symbol {
	uint16_t len;
	char body[2000];
};
struct fake_klass {
	struct fake_symbol *name;
};
struct fake_pool {
	struct fake_klass *holder;
};
struct fake_const {
	struct {
		struct fake_pool pool;
		struct fake_symbol *symbols[3];
	} * pool;
	uint16_t name, signature;
};
struct fake_method {
	struct fake_const *constant;
};
struct fake_blob {
	const char *name;
	struct fake_method *method;
	int32_t frame_size, code_offset;
	int16_t frame_complete;
	uint8_t rest[256];
};

struct fake_vm {
	struct fake_array *heaps;
};

struct fake_vm *fake_vm_get(void);

#endif
