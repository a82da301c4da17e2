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
	MAX_LINK = 8192,
};
#define CRC_MAX (UINT64_C(8) << 30)     /* a sparse file has any size, and is read to its end */
#define XZ_MEMORY (UINT64_C(128) << 20) /* xz -9 needs 65 MiB to decode */

bool pmf_elf_src_take(struct pmf_elf_src *src, int fd, uint64_t bytes)
{
	*src = (struct pmf_elf_src){.owned = true, .fd = fd, .bytes = bytes};
	src->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (pmf_elf_src_check(src))
		return true;
	pmf_elf_src_release(src);
	return false;
}

bool pmf_elf_src_open(struct pmf_elf_src *src, const struct pmf_opener *opener, const char *path)
{
	struct stat st;
	int fd = pmf_file_open_by(opener, path, &st);

	return fd >= 0 && pmf_elf_src_take(src, fd, (uint64_t)st.st_size);
}

/* The CRC of .gnu_debuglink is zlib's. */
static bool crc_is(const struct pmf_elf_src *src, uint32_t want)
{
	uLong crc = crc32(0, NULL, 0);
	uint64_t at = 0;
	uint8_t *chunk;
	size_t n;

	if (src->bytes > CRC_MAX)
		return false;
	chunk = pmf_malloc(CRC_CHUNK);
	for (; at < src->bytes; at += n) {
		n = PMF_MIN(src->bytes - at, (uint64_t)CRC_CHUNK);
		if (!pmf_elf_src_read(src, at, chunk, n))
			break;
		crc = crc32(crc, chunk, (uInt)n);
	}
	free(chunk);
	return at == src->bytes && crc == want;
}

/* ---- Sections ---- */

/* The section called @name, with bytes in the file. */
static bool find_section(const struct pmf_elf_src *src, const char *name, GElf_Shdr *sh)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(src->elf, &names) < 0)
		return false;
	while ((scn = pmf_elf_src_next(src, scn, sh))) {
		const char *s = elf_strptr(src->elf, names, sh->sh_name);

		if (s && strcmp(s, name) == 0)
			return sh->sh_type != SHT_NOBITS && sh->sh_size > 0;
	}
	return false;
}

/* The bytes of a section that nobody compresses; free(3) them. NULL if there is none, or more than @max. */
static uint8_t *read_section(
	const struct pmf_elf_src *src, const char *name, size_t max, size_t *size)
{
	GElf_Shdr sh;
	uint8_t *bytes;

	if (!find_section(src, name, &sh) || sh.sh_size > max || (sh.sh_flags & SHF_COMPRESSED))
		return NULL;
	bytes = pmf_malloc(sh.sh_size);
	if (!pmf_elf_src_read(src, sh.sh_offset, bytes, sh.sh_size)) {
		free(bytes);
		return NULL;
	}
	*size = sh.sh_size;
	return bytes;
}

bool pmf_elf_src_has(const struct pmf_elf_src *src, enum pmf_debug_need need)
{
	GElf_Shdr sh;

	return need == PMF_DEBUG_SYMBOLS ? find_section(src, ".symtab", &sh)
					 : find_section(src, ".debug_info", &sh) ||
						   find_section(src, ".zdebug_info", &sh);
}

/* ---- Separate debug files ---- */

static bool same_build_id(const struct pmf_elf_src *src, const struct pmf_debug_want *w)
{
	uint8_t id[20];
	size_t len = pmf_elf_src_build_id(src, id);

	return len && len == w->build_id_len && memcmp(id, w->build_id, len) == 0;
}

bool pmf_debug_file_fits(
	const struct pmf_elf_src *src, const struct pmf_debug_want *w, const uint32_t *crc)
{
	return src->machine == w->own->machine && src->elf32 == w->own->elf32 &&
	       pmf_elf_src_has(src, w->need) && (crc ? crc_is(src, *crc) : same_build_id(src, w));
}

/* Takes @path over. @crc NULL: the build id must agree. */
static bool try_file(struct pmf_elf_src *src, const struct pmf_debug_want *w, char *path,
	const uint32_t *crc, char **found)
{
	if (path && pmf_elf_src_open(src, w->dirs->opener, path)) {
		if (pmf_debug_file_fits(src, w, crc)) {
			if (found)
				*found = path;
			else
				free(path);
			return true;
		}
		pmf_elf_src_release(src);
	}
	free(path);
	return false;
}

static bool by_build_id(struct pmf_elf_src *src, const struct pmf_debug_want *w, const char *folder,
	const char *suffix, char **found)
{
	return folder &&
	       try_file(src, w, pmf_build_id_path(folder, w->build_id, w->build_id_len, suffix),
		       NULL, found);
}

/* The folder of @path, "" if it has none. */
static char *folder_of(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return pmf_strndup(slash ? path : "", slash ? (size_t)(slash - path) : 0);
}

/* Where the tree keeps debug files that the file lies in, if that is not ours. */
static char *inner_debug_root(const struct pmf_debug_want *w)
{
	return w->root ? pmf_asprintf("%s/usr/lib/debug", w->root) : NULL;
}

/* .gnu_debuglink: a file name, zeros up to a multiple of four, a CRC. The name has no folder, so that a
 * file leads nowhere but beside itself and below the debug roots. */
static bool by_link(struct pmf_elf_src *src, const struct pmf_debug_want *w, char **found)
{
	size_t size = 0, len;
	uint8_t *sec = read_section(w->own, ".gnu_debuglink", MAX_LINK, &size);
	const char *name = (const char *)sec;
	char *dir = folder_of(w->file), *mapped = folder_of(w->mapped);
	char *inside = inner_debug_root(w);
	const char *roots[] = {w->dirs->symfs_root, w->dirs->root, inside};
	bool got = false;
	uint32_t crc;

	len = size < 8 ? 0 : strnlen(name, size - 4);
	if (len > 0 && len <= size - 5 && !strchr(name, '/') &&
		((len + 4) & ~(size_t)3) <= size - 4) {
		memcpy(&crc, sec + ((len + 4) & ~(size_t)3), sizeof crc);
		if (dir[0])
			got = try_file(src, w, pmf_asprintf("%s/%s", dir, name), &crc, found) ||
			      try_file(
				      src, w, pmf_asprintf("%s/.debug/%s", dir, name), &crc, found);
		for (size_t i = 0; i < PMF_ARRAY_SIZE(roots) && !got && mapped[0]; i++)
			got = roots[i] &&
			      try_file(src, w, pmf_asprintf("%s%s/%s", roots[i], mapped, name),
				      &crc, found);
	}
	free(inside);
	free(dir);
	free(mapped);
	free(sec);
	return got;
}

bool pmf_debug_file_open(struct pmf_elf_src *src, const struct pmf_debug_want *w, char **found)
{
	const struct pmf_debug_dirs *d = w->dirs;
	char *inside = inner_debug_root(w);
	bool got = by_build_id(src, w, d->symfs_root, ".debug", found) ||
		   by_build_id(src, w, d->root, ".debug", found) ||
		   by_build_id(src, w, inside, ".debug", found) || by_link(src, w, found) ||
		   by_build_id(src, w, d->cache, "/debug", found) ||
		   by_build_id(src, w, d->cache, "/elf", found);

	free(inside);
	return got;
}

struct pmf_dwarf *pmf_debug_dwarf_open(int fd, const char *path, const char *root,
	const struct pmf_debug_dirs *dirs, struct pmf_err *err)
{
	bool inside = root && pmf_starts_with(path, root);
	char *debug_root = inside ? pmf_asprintf("%s/usr/lib/debug", root) : NULL;
	struct pmf_dwarf_opts opts = {.fd = fd,
		.path = path,
		.debug_root = inside ? debug_root : dirs->root,
		.opener = dirs->opener};
	struct pmf_dwarf *d = pmf_dwarf_open(&opts, err);

	free(debug_root);
	return d;
}

/* ---- Within the file ---- */

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

bool pmf_debug_data_open(struct pmf_elf_src *src, const struct pmf_elf_src *own)
{
	size_t size, out_bytes;
	uint8_t *sec = read_section(own, ".gnu_debugdata", XZ_MAX, &size);

	memset(src, 0, sizeof *src);
	if (!sec)
		return false;
	src->fd = -1;
	src->owned = true;
	src->mem = unxz(sec, size, PMF_MIN(size * XZ_RATIO + XZ_SLACK, (size_t)XZ_MAX), &out_bytes);
	free(sec);
	if (!src->mem)
		return false;
	src->bytes = out_bytes;
	src->elf = elf_memory((char *)src->mem, out_bytes);
	if (pmf_elf_src_check(src))
		return true;
	pmf_elf_src_release(src);
	return false;
}
