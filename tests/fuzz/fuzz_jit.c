/* A perf map (a first byte that is even) or a jitdump file, which grows once while it is read: whatever it holds,
 * code is found where it was said to be, or a sentence says why the file was not read. */
#include "jit_priv.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_all(int fd, const uint8_t *data, size_t size)
{
	if (write(fd, data, size) != (ssize_t)size)
		abort();
}

static void check(const struct pmf_jit_codes *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct pmf_jit_code *code = &c->items[i], *found;
		struct pmf_jit_label label;
		uint64_t until;

		found = pmf_jit_codes_find(c, code->start + code->size - 1, code->from_ns, &until);
		if (found && (code->start + code->size - 1 - found->start >= found->size ||
				     found->first_line + (size_t)found->nr_lines > c->nr_lines))
			abort();
		pmf_jit_label_init(&label, pmf_strtab_get(&c->names, code->name));
		if (!label.name)
			abort();
		pmf_jit_label_release(&label);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_jitdump dump = {.fd = -1};
	struct pmf_perf_map map = {.fd = -1};
	struct pmf_jit_codes codes;
	int fd = memfd_create("jit", MFD_CLOEXEC);

	if (fd < 0 || size < 2)
		goto out;
	pmf_jit_codes_init(&codes);
	*(data[0] & 1 ? &dump.fd : &map.fd) = fd;
	for (int part = 0; part < 2; part++) {
		size_t half = 1 + (size - 1) / 2;
		int ret;

		write_all(fd, part ? data + half : data + 1, part ? size - half : half - 1);
		ret = pmf_perf_map_read(&map, &codes, (uint64_t)part, part, &err);
		ret |= pmf_jitdump_read(&dump, &codes, &err);
		if (ret && err.text[0] == '\0')
			abort();
	}
	check(&codes);
	pmf_jit_codes_release(&codes);
	pmf_jitdump_release(&dump);
out:
	if (fd >= 0)
		close(fd);
	return 0;
}
