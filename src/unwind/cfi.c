/* Finding the FDE of an address in an image's sections. */
#include "cfi_priv.h"

#include "pmuflame/mem.h"
#include "rule_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pointer encodings: LSB Core, "DWARF Exception Header Encoding". */
enum {
	PE_ABSPTR = 0x00,
	PE_UDATA2 = 0x02,
	PE_UDATA4 = 0x03,
	PE_UDATA8 = 0x04,
	PE_SDATA2 = 0x0a,
	PE_SDATA4 = 0x0b,
	PE_SDATA8 = 0x0c,
	PE_FORMAT = 0x0f,
	PE_PCREL = 0x10,
	PE_DATAREL_SDATA4 = 0x3b,
	PE_BASE = 0x70,
	PE_INDIRECT = 0x80,
	PE_OMIT = 0xff,
};

enum {
	HDR_BYTES = 4,
	HDR_ENTRY_BYTES = 8,
	MAX_PROGRAM = 64 * 1024, /* three times the largest known, of 20 KiB in cc1plus */
};
#define MAX_TABLE_SECTION (UINT64_C(1) << 28)
/* Where converted .debug_frame bytes stand: above every user address, apart for each image. */
#define DEBUG_RVA(id) ((UINT64_C(1) << 62) + ((uint64_t)((id)&0x3fff) << 48))

struct pmf_cfi_entry {
	uint64_t start;
	uint32_t off; /* of the FDE in the section */
};

struct cie {
	struct pmf_cfi_cursor program;
	uint64_t code_align;
	int64_t data_align;
	uint8_t fde_encoding;
	bool sized; /* 'z': the FDE has an augmentation length */
	bool signal_frame;
};

/* One record of the section: what stands behind its length and id. */
struct entry {
	struct pmf_cfi_cursor body;
	uint64_t next;    /* offset of the record behind it */
	uint64_t cie_off; /* of an FDE's CIE; UINT64_MAX: it is a CIE */
	bool end;         /* a zero terminator */
};

static size_t format_bytes(const struct pmf_cfi_section *s, uint8_t encoding)
{
	switch (encoding & PE_FORMAT) {
	case PE_UDATA2:
	case PE_SDATA2:
		return 2;
	case PE_UDATA4:
	case PE_SDATA4:
		return 4;
	case PE_ABSPTR:
		return s->word_bytes;
	case PE_UDATA8:
	case PE_SDATA8:
		return 8;
	default:
		return 0;
	}
}

static uint64_t extend(uint64_t n, uint8_t encoding)
{
	switch (encoding & PE_FORMAT) {
	case PE_SDATA2:
		return (uint64_t)(int64_t)(int16_t)n;
	case PE_SDATA4:
		return (uint64_t)(int64_t)(int32_t)n;
	default:
		return n;
	}
}

static bool take_entry(const struct pmf_cfi_section *s, uint64_t off, struct entry *e)
{
	struct pmf_cfi_cursor c;
	uint64_t len, id, id_off;
	size_t id_bytes = 4;

	if (off >= s->size)
		return false;
	c = (struct pmf_cfi_cursor){s->data + off, s->data + s->size, false};
	len = pmf_cfi_uint(&c, 4);
	if (len == UINT32_MAX) {
		len = pmf_cfi_uint(&c, 8);
		id_bytes = 8;
	}
	e->end = len == 0;
	if (c.bad || len > (uint64_t)(c.end - c.p))
		return false;
	c.end = c.p + len;
	e->next = (uint64_t)(c.end - s->data);
	if (e->end)
		return true;
	id_off = (uint64_t)(c.p - s->data);
	id = pmf_cfi_uint(&c, id_bytes);
	if (c.bad || id > id_off)
		return false;
	e->cie_off = id ? id_off - id : UINT64_MAX;
	e->body = c;
	return true;
}

/* The augmentation's letters say what its data holds: LSB Core, "The Common Information Entry". */
static bool take_augmentation(const struct pmf_cfi_section *s, struct pmf_cfi_cursor *c,
	const char *letters, struct cie *out)
{
	struct pmf_cfi_cursor data;
	uint64_t len;

	out->fde_encoding = PE_ABSPTR;
	out->sized = letters[0] == 'z';
	out->signal_frame = false;
	if (!out->sized)
		return letters[0] == '\0';
	len = pmf_cfi_uleb(c);
	data = *c;
	pmf_cfi_skip(c, len);
	data.end = c->p;
	for (letters++; *letters; letters++) {
		uint8_t encoding;

		switch (*letters) {
		case 'L':
			pmf_cfi_skip(&data, 1);
			break;
		case 'R':
			out->fde_encoding = (uint8_t)pmf_cfi_uint(&data, 1);
			break;
		case 'P':
			encoding = (uint8_t)pmf_cfi_uint(&data, 1);
			if (encoding != PE_OMIT && !format_bytes(s, encoding))
				return false;
			pmf_cfi_skip(&data, encoding == PE_OMIT ? 0 : format_bytes(s, encoding));
			break;
		case 'S':
			out->signal_frame = true;
			break;
		/* arm64 only: return addresses are signed with the other key, the stack's
		 * memory is tagged. */
		case 'B':
		case 'G':
			break;
		default:
			return false;
		}
	}
	return !data.bad;
}

static bool take_cie(
	const struct pmf_cfi_section *s, uint64_t off, uint8_t dwarf_ra, struct cie *out)
{
	struct entry e;
	struct pmf_cfi_cursor *c = &e.body;
	const char *letters;
	const uint8_t *nul;
	uint8_t version;
	uint64_t ra;

	if (!take_entry(s, off, &e) || e.end || e.cie_off != UINT64_MAX)
		return false;
	version = (uint8_t)pmf_cfi_uint(c, 1);
	letters = (const char *)c->p;
	nul = memchr(c->p, 0, (size_t)(c->end - c->p));
	if (!nul || (version != 1 && version != 3))
		return false;
	c->p = nul + 1;
	out->code_align = pmf_cfi_uleb(c);
	out->data_align = pmf_cfi_sleb(c);
	ra = version == 1 ? pmf_cfi_uint(c, 1) : pmf_cfi_uleb(c);
	/* libunwind indexes an array by it. */
	if (ra != dwarf_ra || !take_augmentation(s, c, letters, out) || c->bad)
		return false;
	out->program = *c;
	return true;
}

/* Where the FDE's code starts and ends; leaves @c behind them. */
static bool take_range(const struct pmf_cfi_section *s, struct pmf_cfi_cursor *c,
	const struct cie *cie, uint64_t *start, uint64_t *end)
{
	uint8_t encoding = cie->fde_encoding, base = encoding & PE_BASE;
	size_t bytes = format_bytes(s, encoding);
	uint64_t at = s->rva + (uint64_t)(c->p - s->data), len;

	if (!bytes || (encoding & PE_INDIRECT) || (base != PE_ABSPTR && base != PE_PCREL))
		return false;
	*start = extend(pmf_cfi_uint(c, bytes), encoding) + (base == PE_PCREL ? at : 0);
	if (s->word_bytes == 4)
		*start = (uint32_t)*start;
	len = pmf_cfi_uint(c, bytes);
	*end = *start + len;
	return !c->bad && *end > *start;
}

static bool take_fde(
	const struct pmf_cfi_section *s, uint64_t off, uint8_t dwarf_ra, struct pmf_cfi_fde *out)
{
	struct entry e;
	struct cie cie;

	if (!take_entry(s, off, &e) || e.end || e.cie_off == UINT64_MAX ||
		!take_cie(s, e.cie_off, dwarf_ra, &cie) ||
		!take_range(s, &e.body, &cie, &out->start, &out->end))
		return false;
	if (cie.sized)
		pmf_cfi_skip(&e.body, pmf_cfi_uleb(&e.body));
	if (e.body.bad || e.body.end - e.body.p > MAX_PROGRAM ||
		cie.program.end - cie.program.p > MAX_PROGRAM)
		return false;
	out->section = s;
	out->rva = s->rva + off;
	out->signal_frame = cie.signal_frame;
	out->cie_program = cie.program;
	out->program = e.body;
	out->code_align = cie.code_align;
	out->data_align = cie.data_align;
	out->pointer_bytes = (uint8_t)format_bytes(s, cie.fde_encoding);
	return true;
}

bool pmf_cfi_only_fde(
	const struct pmf_cfi_section *s, const struct pmf_arch *arch, struct pmf_cfi_fde *out)
{
	size_t nr_fdes = 0;
	struct entry e;

	for (uint64_t off = 0; take_entry(s, off, &e) && !e.end; off = e.next)
		if (e.cie_off != UINT64_MAX &&
			(nr_fdes++ > 0 || !take_fde(s, off, arch->dwarf_ra, out)))
			return false;
	return nr_fdes == 1;
}

static bool take_fde_of(const struct pmf_cfi_section *s, uint64_t off, uint8_t dwarf_ra,
	uint64_t rva, struct pmf_cfi_fde *out)
{
	return take_fde(s, off, dwarf_ra, out) && rva >= out->start && rva < out->end;
}

static int by_start(const void *a, const void *b)
{
	const struct pmf_cfi_entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

void pmf_cfi_build_table(struct pmf_cfi_section *s, uint8_t dwarf_ra)
{
	uint64_t last_cie = UINT64_MAX, start, end;
	bool cie_ok = false;
	size_t cap = 0;
	struct entry e;
	struct cie cie;

	if (s->size > MAX_TABLE_SECTION)
		return;
	for (uint64_t off = 0; take_entry(s, off, &e); off = e.next) {
		/* A terminator in the middle is what linking with an old crtend.o leaves. */
		if (e.end || e.cie_off == UINT64_MAX)
			continue;
		if (e.cie_off != last_cie) {
			last_cie = e.cie_off;
			cie_ok = take_cie(s, last_cie, dwarf_ra, &cie);
		}
		/* Address 0: the linker dropped that function. */
		if (cie_ok && take_range(s, &e.body, &cie, &start, &end) && start)
			PMF_PUSH(s->table, s->nr_table, cap) =
				(struct pmf_cfi_entry){start, (uint32_t)off};
	}
	if (s->nr_table)
		qsort(s->table, s->nr_table, sizeof *s->table, by_start);
}

/* Use .eh_frame_hdr's search table if it is the kind that every linker writes. */
static bool use_hdr(struct pmf_cfi *cfi, const struct pmf_image *im)
{
	struct pmf_cfi_cursor c;
	const uint8_t *data;
	uint64_t rva, count;
	size_t size;

	data = pmf_image_section(im, ".eh_frame_hdr", &size, &rva);
	if (!data || size < HDR_BYTES || data[0] != 1 || data[2] != PE_UDATA4 ||
		data[3] != PE_DATAREL_SDATA4 || !format_bytes(&cfi->eh, data[1]) ||
		data[1] == PE_OMIT)
		return false;
	c = (struct pmf_cfi_cursor){data + HDR_BYTES, data + size, false};
	pmf_cfi_skip(&c, format_bytes(&cfi->eh, data[1]));
	count = pmf_cfi_uint(&c, 4);
	if (c.bad || count == 0 || count > (uint64_t)(c.end - c.p) / HDR_ENTRY_BYTES)
		return false;
	cfi->hdr_table = c.p;
	cfi->nr_hdr = (size_t)count;
	cfi->hdr_rva = rva;
	return true;
}

static void cfi_free(void *priv)
{
	struct pmf_cfi *cfi = priv;

	free(cfi->eh.table);
	free(cfi->debug.table);
	free(cfi->converted);
	pmf_image_rules_release(cfi->rules);
	free(cfi->rules);
	free(cfi->go);
	free(cfi->parts->items);
	free(cfi->parts);
	free(cfi);
}

static struct pmf_go_table *read_go_table(const struct pmf_image *im)
{
	struct pmf_go_table table, *kept;

	if (!pmf_go_table_read(im, &table))
		return NULL;
	kept = pmf_malloc(sizeof *kept);
	*kept = table;
	return kept;
}

static struct pmf_cfi *cfi_new(const struct pmf_image *im, const struct pmf_arch *arch)
{
	struct pmf_cfi *cfi = pmf_zalloc(sizeof *cfi);
	const uint8_t *debug;
	size_t size;

	cfi->dwarf_ra = arch->dwarf_ra;
	cfi->rules = pmf_zalloc(sizeof *cfi->rules);
	cfi->parts = pmf_zalloc(sizeof *cfi->parts);
	cfi->eh.word_bytes = cfi->debug.word_bytes = arch->word_bytes;
	if (!im->elf)
		return cfi;
	if (im->kind == PMF_IMAGE_FILE)
		cfi->entry_rva = im->elf->entry;
	cfi->go = read_go_table(im);
	cfi->eh.data = pmf_image_section(im, ".eh_frame", &cfi->eh.size, &cfi->eh.rva);
	if (cfi->eh.data && !use_hdr(cfi, im))
		pmf_cfi_build_table(&cfi->eh, cfi->dwarf_ra);
	debug = pmf_image_section(im, ".debug_frame", &size, NULL);
	if (debug && size <= MAX_TABLE_SECTION) {
		cfi->debug.rva = DEBUG_RVA(im->id);
		cfi->converted = pmf_cfi_convert_debug_frame(
			debug, size, arch, cfi->debug.rva, &cfi->debug.size);
		cfi->debug.data = cfi->converted;
		if (cfi->converted)
			pmf_cfi_build_table(&cfi->debug, cfi->dwarf_ra);
	}
	return cfi;
}

const struct pmf_cfi *pmf_cfi_of(struct pmf_image *im, const struct pmf_arch *arch)
{
	const struct pmf_cfi *cfi;

	if (im->elf &&
		(im->elf_machine != arch->elf_machine || im->elf32 != (arch->word_bytes == 4)))
		return NULL;
	if (!im->unwind_priv) {
		im->unwind_priv = cfi_new(im, arch);
		im->unwind_free = cfi_free;
		if (im->elf && im->elf->left_out && !im->why[0])
			snprintf(im->why, sizeof im->why,
				"its unwind tables take more memory than any of its size should, or are "
				"too many with those of others");
	}
	cfi = im->unwind_priv;
	return cfi->eh.data || cfi->debug.data || cfi->go || cfi->entry_rva ? cfi : NULL;
}

static int32_t hdr_value(const uint8_t *p)
{
	int32_t n;

	memcpy(&n, p, sizeof n);
	return n;
}

static bool find_by_hdr(const struct pmf_cfi *cfi, uint64_t rva, struct pmf_cfi_fde *out)
{
	int64_t rel = (int64_t)(rva - cfi->hdr_rva);
	size_t lo = 0, hi = cfi->nr_hdr;
	uint64_t fde_rva;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (hdr_value(cfi->hdr_table + mid * HDR_ENTRY_BYTES) <= rel)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return false;
	fde_rva = cfi->hdr_rva +
		  (uint64_t)(int64_t)hdr_value(cfi->hdr_table + (lo - 1) * HDR_ENTRY_BYTES + 4);
	return take_fde_of(&cfi->eh, fde_rva - cfi->eh.rva, cfi->dwarf_ra, rva, out);
}

static bool find_by_table(
	const struct pmf_cfi_section *s, uint8_t dwarf_ra, uint64_t rva, struct pmf_cfi_fde *out)
{
	size_t lo = 0, hi = s->nr_table;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->table[mid].start <= rva)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && take_fde_of(s, s->table[lo - 1].off, dwarf_ra, rva, out);
}

bool pmf_cfi_find(const struct pmf_cfi *cfi, uint64_t rva, struct pmf_cfi_fde *out)
{
	if (cfi->hdr_table ? find_by_hdr(cfi, rva, out)
			   : find_by_table(&cfi->eh, cfi->dwarf_ra, rva, out))
		return true;
	return find_by_table(&cfi->debug, cfi->dwarf_ra, rva, out);
}

/* ---- Functions in parts ---- */

static int by_part_start(const void *a, const void *b)
{
	const struct pmf_cfi_part *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Does it start where a register has been saved already? Then somebody jumps there. */
static bool starts_inside(const struct pmf_cfi_fde *fde, uint8_t dwarf_ra)
{
	struct pmf_cfi_row row;

	if (fde->signal_frame || !pmf_cfi_row_at(fde, fde->start, &row))
		return false;
	for (size_t i = 0; i < PMF_CFI_COLUMNS; i++)
		if (i != dwarf_ra && row.regs[i].how == PMF_CFI_AT_CFA)
			return true;
	return false;
}

static void find_parts(const struct pmf_cfi *cfi, struct pmf_cfi_parts *parts)
{
	struct pmf_cfi_fde fde;
	uint64_t first = 0;
	size_t cap = 0;
	struct entry e;

	for (uint64_t off = 0; take_entry(&cfi->eh, off, &e); off = e.next) {
		if (!take_fde(&cfi->eh, off, cfi->dwarf_ra, &fde))
			continue;
		if (!starts_inside(&fde, cfi->dwarf_ra))
			first = fde.start;
		else if (first)
			PMF_PUSH(parts->items, parts->n, cap) =
				(struct pmf_cfi_part){fde.start, first};
	}
	parts->known = true;
	if (parts->n)
		qsort(parts->items, parts->n, sizeof *parts->items, by_part_start);
}

uint64_t pmf_cfi_function_start(const struct pmf_cfi *cfi, const struct pmf_cfi_fde *fde)
{
	const struct pmf_cfi_part key = {.start = fde->start}, *part = NULL;

	if (fde->section != &cfi->eh)
		return fde->start;
	if (!cfi->parts->known)
		find_parts(cfi, cfi->parts);
	if (cfi->parts->n)
		part = bsearch(&key, cfi->parts->items, cfi->parts->n, sizeof key, by_part_start);
	return part ? part->function : fde->start;
}
