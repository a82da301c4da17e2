#include "config.h"

#include "pmuflame/unpack.h"

#include <elf.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_LIBZSTD
#include <zstd.h>
#endif

enum {
	GNU_HEAD = 12,
	COMPRESS_ZSTD = 2, /* ELFCOMPRESS_ZSTD, which older <elf.h> lacks */
	RATIO_MAX =
		1032 /* zlib's; of zstd's frames that are packed more tightly no linker makes any */
};

static bool unzip(uint8_t *out, size_t out_bytes, const uint8_t *in, size_t in_bytes)
{
	uLongf n = out_bytes;

	return uncompress(out, &n, in, in_bytes) == Z_OK && n == out_bytes;
}

static bool unzstd(uint8_t *out, size_t out_bytes, const uint8_t *in, size_t in_bytes)
{
#ifdef HAVE_LIBZSTD
	return ZSTD_decompress(out, out_bytes, in, in_bytes) == out_bytes;
#else
	(void)out, (void)out_bytes, (void)in, (void)in_bytes;
	return false;
#endif
}

/* The bytes of the header, 0 if there is none. */
static size_t take_head(struct pmf_packed *p, const uint8_t *in, size_t n, bool elf32, bool gnu)
{
	Elf64_Chdr wide = {0};
	Elf32_Chdr narrow;

	if (gnu) {
		if (n < GNU_HEAD || memcmp(in, "ZLIB", 4) != 0)
			return 0;
		memcpy(&p->size, in + 4, sizeof p->size);
		p->size = __builtin_bswap64(p->size);
		p->unpack = unzip;
		return GNU_HEAD;
	}
	if (n < (elf32 ? sizeof narrow : sizeof wide))
		return 0;
	if (elf32) {
		memcpy(&narrow, in, sizeof narrow);
		wide = (Elf64_Chdr){.ch_type = narrow.ch_type, .ch_size = narrow.ch_size};
	} else {
		memcpy(&wide, in, sizeof wide);
	}
	p->size = wide.ch_size;
	p->unpack = wide.ch_type == ELFCOMPRESS_ZLIB ? unzip
		    : wide.ch_type == COMPRESS_ZSTD  ? unzstd
						     : NULL;
	return elf32 ? sizeof narrow : sizeof wide;
}

bool pmf_packed_take(struct pmf_packed *p, const uint8_t *in, size_t n, bool elf32, bool gnu)
{
	size_t head;

	memset(p, 0, sizeof *p);
	head = take_head(p, in, n, elf32, gnu);
	p->data = in + head;
	p->bytes = n - head;
	return head && p->unpack && p->size && p->size / RATIO_MAX <= n;
}

bool pmf_packed_unpack(const struct pmf_packed *p, uint8_t *out)
{
	return p->unpack(out, p->size, p->data, p->bytes);
}
