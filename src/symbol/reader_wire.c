/* What stands in messages to and from readers. Whoever takes it expects anything: a reader may have been taken
 * over by a file. */
#include "reader_priv.h"

#include "pmuflame/lines.h"

void pmf_reader_put_u64(struct pmf_buf *b, uint64_t n)
{
	pmf_buf_add(b, &n, sizeof n);
}

void pmf_reader_put_str(struct pmf_buf *b, const char *s)
{
	pmf_buf_add(b, s ? s : "", s ? strnlen(s, PMF_READ_TEXT_MAX) : 0);
	pmf_buf_addch(b, '\0');
}

const char *pmf_reader_take_str(struct pmf_dw_cursor *c)
{
	const uint8_t *from = c->at;
	const char *s = pmf_dw_cstr(c);

	/* The text and its NUL. */
	c->bad |= c->at - from > PMF_READ_TEXT_MAX + 1;
	return !c->bad && s && *s ? s : NULL;
}

void pmf_reader_put_image(struct pmf_buf *b, const struct pmf_reader_image *im)
{
	pmf_reader_put_u64(b, im->bytes);
	pmf_reader_put_u64(b, im->is_file);
	pmf_reader_put_u64(b, im->dwarf);
	pmf_reader_put_u64(b, im->build_id_len);
	pmf_buf_add(b, im->build_id, im->build_id_len);
	pmf_reader_put_str(b, im->path);
	pmf_reader_put_str(b, im->file);
	pmf_reader_put_str(b, im->root);
	pmf_reader_put_str(b, im->fetched_path);
	pmf_reader_put_str(b, im->dirs.symfs_root);
	pmf_reader_put_str(b, im->dirs.root);
	pmf_reader_put_str(b, im->dirs.cache);
}

bool pmf_reader_take_image(struct pmf_dw_cursor *c, struct pmf_reader_image *im)
{
	*im = (struct pmf_reader_image){.bytes = pmf_dw_uint(c, 8)};
	im->is_file = pmf_dw_uint(c, 8) != 0;
	im->dwarf = pmf_dw_uint(c, 8) != 0;
	im->build_id_len = pmf_dw_uint(c, 8);
	im->build_id = c->at;
	pmf_dw_skip(c, im->build_id_len);
	im->path = pmf_reader_take_str(c);
	im->file = pmf_reader_take_str(c);
	im->root = pmf_reader_take_str(c);
	im->fetched_path = pmf_reader_take_str(c);
	im->dirs.symfs_root = pmf_reader_take_str(c);
	im->dirs.root = pmf_reader_take_str(c);
	im->dirs.cache = pmf_reader_take_str(c);
	return !c->bad && im->path;
}

void pmf_reader_put_debug(struct pmf_buf *b, const struct pmf_reader_debug *d)
{
	pmf_reader_put_u64(b, d->found);
	pmf_reader_put_str(b, d->path);
	pmf_reader_put_str(b, d->why);
	pmf_reader_put_u64(b, d->bytes);
}

bool pmf_reader_take_debug(struct pmf_dw_cursor *c, struct pmf_reader_debug *d)
{
	d->found = pmf_dw_uint(c, 8) != 0;
	d->path = pmf_reader_take_str(c);
	d->why = pmf_reader_take_str(c);
	d->bytes = pmf_dw_uint(c, 8);
	return !c->bad && (d->path || !d->found);
}

void pmf_reader_put_symbol(struct pmf_buf *b, const struct pmf_symbol *sym)
{
	pmf_reader_put_str(b, sym ? sym->name : NULL);
	pmf_reader_put_u64(b, sym ? sym->start : 0);
	pmf_reader_put_u64(b, sym ? sym->size : 0);
}

bool pmf_reader_take_symbol(struct pmf_dw_cursor *c, struct pmf_symbol *sym)
{
	*sym = (struct pmf_symbol){.name = pmf_reader_take_str(c)};
	sym->start = pmf_dw_uint(c, 8);
	sym->size = pmf_dw_uint(c, 8);
	return !c->bad && sym->name;
}

void pmf_reader_put_lines(struct pmf_buf *b, const struct pmf_line *lines, size_t n)
{
	pmf_reader_put_u64(b, n);
	for (size_t i = 0; i < n; i++) {
		pmf_reader_put_str(b, lines[i].function);
		pmf_reader_put_str(b, lines[i].decl_file);
		pmf_reader_put_str(b, lines[i].file);
		pmf_buf_add(b, &lines[i].decl_line, sizeof lines[i].decl_line);
		pmf_buf_add(b, &lines[i].line, sizeof lines[i].line);
	}
}

size_t pmf_reader_take_lines(struct pmf_dw_cursor *c, struct pmf_line *lines)
{
	uint64_t n = pmf_dw_uint(c, 8);

	c->bad |= n > PMF_LINES_DEPTH;
	for (uint64_t i = 0; !c->bad && i < n; i++) {
		lines[i].function = pmf_reader_take_str(c);
		lines[i].decl_file = pmf_reader_take_str(c);
		lines[i].file = pmf_reader_take_str(c);
		lines[i].decl_line = (uint32_t)pmf_dw_uint(c, 4);
		lines[i].line = (uint32_t)pmf_dw_uint(c, 4);
	}
	return c->bad ? 0 : (size_t)n;
}
