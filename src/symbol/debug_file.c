/* Where symbols live that are not in the file itself: a separate debug file (GDB manual, "Separate
 * Debug Files") and .gnu_debugdata (GDB manual, "MiniDebugInfo"). */
#include "symbol_priv.h"

#include "pmuflame/file.h"
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
	CRC_CHUNK = 64 * 1024,
	XZ_RATIO = 64, /* symbol tables shrink to a fifth; a bomb to a thousandth and less */
	XZ_SLACK = 1 << 20,
	XZ_MAX = 512 << 20,
};
#define XZ_MEMORY (UINT64_C(128) << 20) /* xz -9 needs 65 MiB to decode */

bool pmf_elf_src_open(struct pmf_elf_src *src, const char *path)
{
	struct stat st;

	memset(src, 0, sizeof *src);
	src->owned = true;
	src->fd = pmf_file_open_regular(path, &st);
	if (src->fd < 0)
		return false;
	src->bytes = (uint64_t)st.st_size;
	src->elf = elf_begin(src->fd, ELF_C_READ, NULL);
	if (pmf_elf_src_check(src))
		return true;
	pmf_elf_src_release(src);
	return false;
}

/* The CRC of .gnu_debuglink is zlib's. */
static bool crc_is(const struct pmf_elf_src *src, uint32_t want)
{
	uint8_t *chunk = pmf_malloc(CRC_CHUNK);
	uLong crc = crc32(0, NULL, 0);
	uint64_t at = 0;
	size_t n;

	for (; at < src->bytes; at += n) {
		n = PMF_MIN(src->bytes - at, (uint64_t)CRC_CHUNK);
		if (!pmf_elf_src_read(src, at, chunk, n))
			break;
		crc = crc32(crc, chunk, (uInt)n);
	}
	free(chunk);
	return at == src->bytes && crc == want;
}

static bool same_build_id(const struct pmf_elf_src *src, const struct pmf_image *im)
{
	uint8_t id[20];
	size_t len = pmf_elf_build_id(src->elf, id);

	return len && len == im->build_id_len && memcmp(id, im->build_id, len) == 0;
}

/* @crc NULL: the build id must agree. */
static bool try_file(
	struct pmf_elf_src *src, const struct pmf_image *im, char *path, const uint32_t *crc)
{
	bool ok = pmf_elf_src_open(src, path);

	free(path);
	if (!ok)
		return false;
	if (src->machine == im->elf_machine && src->elf32 == im->elf32 &&
		(crc ? crc_is(src, *crc) : same_build_id(src, im)))
		return true;
	pmf_elf_src_release(src);
	return false;
}

static bool by_build_id(struct pmf_elf_src *src, const struct pmf_image *im, const char *root)
{
	char *path = pmf_build_id_path(root, im->build_id, im->build_id_len, ".debug");

	return path && try_file(src, im, path, NULL);
}

/* .gnu_debuglink: a file name, zeros up to a multiple of four, a CRC. */
static bool by_link(struct pmf_elf_src *src, const struct pmf_image *im, const char *root)
{
	size_t size, len;
	const uint8_t *sec = pmf_image_section(im, ".gnu_debuglink", &size, NULL);
	const char *name = (const char *)sec, *at = im->file ? im->file : im->path,
		   *slash = strrchr(at, '/');
	int dir = slash ? (int)PMF_MIN(slash - at, (ptrdiff_t)4096) : 0;
	uint32_t crc;

	if (!sec || size < 8 || !slash)
		return false;
	len = strnlen(name, size - 4);
	if (len == 0 || len > size - 5 || strchr(name, '/') || ((len + 4) & ~(size_t)3) > size - 4)
		return false;
	memcpy(&crc, sec + ((len + 4) & ~(size_t)3), sizeof crc);
	return try_file(src, im, pmf_asprintf("%.*s/%s", dir, at, name), &crc) ||
	       try_file(src, im, pmf_asprintf("%.*s/.debug/%s", dir, at, name), &crc) ||
	       try_file(src, im, pmf_asprintf("%s%.*s/%s", root, dir, at, name), &crc);
}

bool pmf_debug_file_open(struct pmf_elf_src *src, const struct pmf_image *im, const char *root)
{
	return by_build_id(src, im, root) || by_link(src, im, root);
}

/* What @in holds, at most @max bytes; NULL if it is damaged or larger. */
static uint8_t *unxz(const uint8_t *in, size_t in_bytes, size_t max, size_t *out_bytes)
{
	lzma_stream xz = LZMA_STREAM_INIT;
	lzma_ret ret = lzma_stream_decoder(&xz, XZ_MEMORY, 0);
	uint8_t *out = NULL;
	size_t cap = 0;

	xz.next_in = in;
	xz.avail_in = in_bytes;
	while (ret == LZMA_OK && xz.total_out < max) {
		out = pmf_grow(out, &cap, PMF_MAX(cap + 1, PMF_MIN(4 * in_bytes, max)), 1);
		xz.next_out = out + xz.total_out;
		xz.avail_out = cap - xz.total_out;
		ret = lzma_code(&xz, LZMA_FINISH);
	}
	*out_bytes = xz.total_out;
	lzma_end(&xz);
	if (ret == LZMA_STREAM_END)
		return out;
	free(out);
	return NULL;
}

bool pmf_debug_data_open(struct pmf_elf_src *src, const struct pmf_image *im)
{
	size_t size, out_bytes;
	const uint8_t *sec = pmf_image_section(im, ".gnu_debugdata", &size, NULL);

	memset(src, 0, sizeof *src);
	if (!sec || size > XZ_MAX)
		return false;
	src->fd = -1;
	src->owned = true;
	src->mem = unxz(sec, size, PMF_MIN(size * XZ_RATIO + XZ_SLACK, (size_t)XZ_MAX), &out_bytes);
	if (!src->mem)
		return false;
	src->bytes = out_bytes;
	src->elf = elf_memory((char *)src->mem, out_bytes);
	if (pmf_elf_src_check(src))
		return true;
	pmf_elf_src_release(src);
	return false;
}
