/* A file that says it is an ELF program: opening it, reading its sections and segments, and looking
 * for call frame information must read nothing outside and end soon. */
#include "cfi_priv.h"
#include "pmuflame/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_around(struct pmf_image *im)
{
	static const char *const sections[] = {".eh_frame", ".eh_frame_hdr", ".debug_frame",
		".shstrtab", ".dynsym", ".gnu_debugdata"};
	const struct pmf_arch *arch = pmf_arch_by_elf(im->elf_machine);
	const struct pmf_cfi *cfi;
	volatile uint8_t last;
	uint8_t byte[8];
	size_t len;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(sections); i++) {
		const uint8_t *s = pmf_image_section(im, sections[i], &len, NULL);

		/* The sanitizer sees whether it is there. */
		if (s)
			last = s[len - 1];
	}
	(void)last;
	for (size_t i = 0; i < im->nr_segments; i++) {
		const struct pmf_segment *s = &im->segments[i];

		pmf_image_read(im, s->va, byte, sizeof byte);
		pmf_image_read(im, s->va + s->filesz - 1, byte, sizeof byte);
	}
	cfi = pmf_cfi_of(im, arch ? arch : pmf_arch_native());
	for (uint64_t i = 0; cfi && i < 4096; i += 16) {
		struct pmf_cfi_fde fde;
		struct pmf_cfi_row row;

		if (pmf_cfi_find(cfi, cfi->entry_rva + i, &fde))
			pmf_cfi_row_at(&fde, cfi->entry_rva + i, &row);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmf_process_table table;
	char path[64];
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	pmf_process_table_init(&table, false);
	look_around(pmf_image_get(&table, path, 0, 0, NULL, 0, 1, 0x1000, 0x2000));
	pmf_process_table_release(&table);
	close(fd);
	return 0;
}
