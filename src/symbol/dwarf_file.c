/* The debug sections of ELF files, compressed or not. They are read with pread(2), since a file that is
 * mapped and then truncated ends the process. */
#include "dwarf_priv.h"

#include "pmuflame/file.h"
#include "pmuflame/unpack.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MAX_CODE = 64,
};

/* Behind ".debug_" or ".zdebug_". */
static const char *const section_names[] = {
	[PMF_DW_INFO] = "info",
	[PMF_DW_ABBREV] = "abbrev",
	[PMF_DW_LINE] = "line",
	[PMF_DW_STR] = "str",
	[PMF_DW_LINE_STR] = "line_str",
	[PMF_DW_RANGES] = "ranges",
	[PMF_DW_RNGLISTS] = "rnglists",
	[PMF_DW_ADDR] = "addr",
	[PMF_DW_STR_OFFSETS] = "str_offsets",
	[PMF_DW_CU_INDEX] = "cu_index",
};

struct source {
	struct pmf_elf_src elf;
	const char *path;
	size_t names; /* the section with sections' names */
	bool dwo;
};

/* Which section that is, or PMF_DW_NR_SECTIONS. */
static size_t section_of(const struct source *s, const char *name, bool *gnu_zlib)
{
	size_t i, len;

	*gnu_zlib = strncmp(name, ".zdebug_", 8) == 0;
	if (!*gnu_zlib && strncmp(name, ".debug_", 7) != 0)
		return PMF_DW_NR_SECTIONS;
	name += *gnu_zlib ? 8 : 7;
	for (i = 0; i < PMF_DW_NR_SECTIONS; i++) {
		len = strlen(section_names[i]);
		/* The index of a .dwp is the only one without the suffix. */
		if (strncmp(name, section_names[i], len) == 0 &&
			strcmp(name + len, s->dwo && i != PMF_DW_CU_INDEX ? ".dwo" : "") == 0)
			break;
	}
	return i;
}

static bool may_load(struct pmf_dwarf *d, uint64_t size)
{
	if (size > PMF_DW_MAX_BYTES - d->loaded)
		return false;
	d->loaded += size;
	return true;
}

static uint8_t *unpack(struct pmf_dwarf *d, const struct source *s, struct pmf_dw_bytes packed,
	bool gnu, size_t *n)
{
	struct pmf_packed p;
	uint8_t *out;

	if (!pmf_packed_take(&p, packed.data, packed.size, s->elf.elf32, gnu) ||
		!may_load(d, p.size))
		return NULL;
	out = pmf_malloc(p.size);
	*n = p.size;
	if (pmf_packed_unpack(&p, out))
		return out;
	d->loaded -= p.size;
	free(out);
	return NULL;
}

/* The bytes of section @sh, unpacked; NULL if they cannot be read. */
static uint8_t *read_section(
	struct pmf_dwarf *d, const struct source *s, const GElf_Shdr *sh, bool gnu, size_t *n)
{
	uint8_t *raw, *out;

	if (!sh->sh_size || !may_load(d, sh->sh_size))
		return NULL;
	raw = pmf_malloc(sh->sh_size);
	*n = sh->sh_size;
	if (!pmf_elf_src_read(&s->elf, sh->sh_offset, raw, sh->sh_size)) {
		d->loaded -= sh->sh_size;
		free(raw);
		return NULL;
	}
	if (!gnu && !(sh->sh_flags & SHF_COMPRESSED))
		return raw;
	out = unpack(d, s, (struct pmf_dw_bytes){raw, sh->sh_size}, gnu, n);
	free(raw);
	d->loaded -= sh->sh_size;
	return out;
}

/* .gnu_debugaltlink (dwz(1)): a path and a build id. DWARF 5's .debug_sup (section 7.3.6): a version, whether this
 * is itself the other file, a path, a checksum, which dwz makes the build id. */
static void read_alt_link(
	struct pmf_dw_file *f, const struct source *s, const GElf_Shdr *sh, bool sup)
{
	uint8_t bytes[4200];
	struct pmf_dw_cursor c;
	const char *name;
	uint64_t len;

	if (sh->sh_size > sizeof bytes || f->alt_name ||
		!pmf_elf_src_read(&s->elf, sh->sh_offset, bytes, sh->sh_size))
		return;
	c = pmf_dw_at((struct pmf_dw_bytes){bytes, sh->sh_size}, 0);
	if (sup && (pmf_dw_uint(&c, 2) != 5 || pmf_dw_uint(&c, 1) != 0))
		return;
	name = pmf_dw_cstr(&c);
	len = sup ? pmf_dw_uleb(&c) : (uint64_t)(c.end - c.at);
	if (!name || c.bad || len > (uint64_t)(c.end - c.at) || len > sizeof f->alt_id || !len)
		return;
	f->alt_name = pmf_strdup(name);
	memcpy(f->alt_id, c.at, len);
	f->alt_id_len = len;
}

static void add_code(struct pmf_dwarf *d, const GElf_Shdr *sh)
{
	struct pmf_sym_range code = {sh->sh_addr, sh->sh_addr + sh->sh_size}, *last;

	if (!(sh->sh_flags & SHF_ALLOC) || !(sh->sh_flags & SHF_EXECINSTR) ||
		code.end <= code.start)
		return;
	if (d->nr_code < MAX_CODE) {
		PMF_PUSH(d->code, d->nr_code, d->cap_code) = code;
		return;
	}
	/* Each range is looked for among them: no program has that many. */
	last = &d->code[d->nr_code - 1];
	last->start = PMF_MIN(last->start, code.start);
	last->end = PMF_MAX(last->end, code.end);
}

static void load_sections(struct pmf_dw_file *f, const struct source *s)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	const char *name;
	size_t i, n;
	bool gnu;

	while ((scn = pmf_elf_src_next(&s->elf, scn, &sh))) {
		if (f->number == 0)
			add_code(f->d, &sh);
		name = elf_strptr(s->elf.elf, s->names, sh.sh_name);
		if (!name || sh.sh_type == SHT_NOBITS)
			continue;
		if (strcmp(name, ".gnu_debugaltlink") == 0 || strcmp(name, ".debug_sup") == 0) {
			read_alt_link(f, s, &sh, name[1] == 'd');
			continue;
		}
		i = section_of(s, name, &gnu);
		if (i == PMF_DW_NR_SECTIONS || f->own[i])
			continue;
		f->own[i] = read_section(f->d, s, &sh, gnu, &n);
		if (f->own[i])
			f->sec[i] = (struct pmf_dw_bytes){f->own[i], n};
	}
}

static bool is_readable(struct source *s, int fd, struct pmf_err *err)
{
	struct stat st;
	GElf_Ehdr eh;

	s->elf.fd = fd;
	elf_version(EV_CURRENT);
	s->elf.elf = elf_begin(fd, ELF_C_READ, NULL);
	if (fstat(fd, &st) != 0 || !s->elf.elf || elf_kind(s->elf.elf) != ELF_K_ELF ||
		!gelf_getehdr(s->elf.elf, &eh) || elf_getshdrstrndx(s->elf.elf, &s->names) != 0) {
		pmf_err_set(err, PMF_EFORMAT,
			"%s is no ELF file with sections, so it has no debug information", s->path);
		return false;
	}
	if (eh.e_ident[EI_DATA] != ELFDATA2LSB) {
		pmf_err_set(err, PMF_EUNSUP,
			"%s is of a big-endian machine, whose debug information pmuflame does not read",
			s->path);
		return false;
	}
	s->elf.bytes = (uint64_t)st.st_size;
	s->elf.elf32 = eh.e_ident[EI_CLASS] == ELFCLASS32;
	return true;
}

int pmf_dw_file_load(struct pmf_dw_file *f, int fd, const char *path, bool dwo, struct pmf_err *err)
{
	struct source s = {.path = path, .dwo = dwo};
	int ret = PMF_EFORMAT;

	if (is_readable(&s, fd, err)) {
		load_sections(f, &s);
		ret = f->sec[PMF_DW_INFO].size && f->sec[PMF_DW_ABBREV].size
			      ? 0
			      : pmf_err_set(
					err, PMF_ENOTFOUND, "%s has no debug information", path);
	} else if (err) {
		ret = err->status;
	}
	elf_end(s.elf.elf);
	return ret;
}

struct pmf_dw_file *pmf_dw_file_new(struct pmf_dwarf *d)
{
	struct pmf_dw_file *f = pmf_zalloc(sizeof *f);

	f->d = d;
	f->number = (uint32_t)d->nr_files;
	PMF_PUSH(d->files, d->nr_files, d->cap_files) = f;
	return f;
}

static bool has_build_id(int fd, const struct stat *st, const uint8_t *build_id, size_t len)
{
	struct pmf_elf_src src = {.fd = fd, .bytes = (uint64_t)st->st_size};
	uint8_t id[20];

	return pmf_elf_src_build_id(&src, id) == len && memcmp(id, build_id, len) == 0;
}

struct pmf_dw_file *pmf_dw_file_open(struct pmf_dwarf *d, const char *path, bool dwo,
	const uint8_t *build_id, size_t build_id_len)
{
	struct stat st;
	int fd = pmf_file_open_by(d->opener, path, &st);
	struct pmf_dw_file *f = NULL;

	if (fd < 0)
		return NULL;
	if (!build_id || has_build_id(fd, &st, build_id, build_id_len)) {
		f = pmf_dw_file_new(d);
		/* One that has nothing stays, empty: files go all at once. */
		if (pmf_dw_file_load(f, fd, path, dwo, NULL) != 0)
			f = NULL;
	}
	close(fd);
	return f;
}
