/* Verdicts: as text, as JUnit's XML, as Markdown. */
#include "check.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/render.h"
#include <stdio.h>
#include <string.h>

/* What was measured, for people. */
static void describe(const struct pmf_check_item *item, struct pmf_buf *out)
{
	pmf_verdict_describe(&item->verdict, item->budget, out);
}

void pmf_check_print(const struct pmf_check *c)
{
	struct pmf_buf line = PMF_BUF_INIT, clean = PMF_BUF_INIT;

	for (size_t g = 0; g < c->n; g++) {
		for (size_t i = 0; i < c->groups[g].n; i++) {
			const struct pmf_check_item *item = &c->groups[g].items[i];

			pmf_buf_clear(&line);
			pmf_buf_clear(&clean);
			pmf_buf_printf(&line,
				"%-7s  %s: %s: ", pmf_verdict_name(item->verdict.kind), item->name,
				item->budget->text);
			describe(item, &line);
			pmf_buf_addclean(&clean, pmf_buf_str(&line), '?');
			puts(pmf_buf_str(&clean));
		}
	}
	pmf_buf_release(&line);
	pmf_buf_release(&clean);
}

static int write_text(const struct pmf_buf *text, const char *path, struct pmf_err *err)
{
	struct pmf_outfile of;
	int ret = pmf_outfile_open(&of, path, err);

	if (ret)
		return ret;
	fwrite(text->data, 1, text->len, of.f);
	return pmf_outfile_commit(&of, err);
}

/* ---- JUnit ---- */

static size_t count(const struct pmf_check *c, enum pmf_verdict_kind kind)
{
	size_t n = 0;

	for (size_t g = 0; g < c->n; g++)
		for (size_t i = 0; i < c->groups[g].n; i++)
			n += c->groups[g].items[i].verdict.kind == kind;
	return n;
}

static void add_xml(struct pmf_buf *out, const char *text)
{
	pmf_text_add(out, text, strlen(text), PMF_TEXT_XML);
}

static void add_testcase(
	const struct pmf_check_group *g, const struct pmf_check_item *item, struct pmf_buf *out)
{
	static const char *const elements[] = {[PMF_VERDICT_MET] = NULL,
		[PMF_VERDICT_MISSED] = "failure",
		[PMF_VERDICT_UNKNOWN] = "error"};
	const char *element = elements[item->verdict.kind];
	struct pmf_buf measured = PMF_BUF_INIT;

	describe(item, &measured);
	pmf_buf_addstr(out, "\t\t<testcase classname=\"");
	add_xml(out, g->label);
	pmf_buf_addstr(out, "\" name=\"");
	add_xml(out, item->name);
	pmf_buf_addstr(out, ": ");
	add_xml(out, item->budget->text);
	pmf_buf_addstr(out, "\">\n");
	if (element) {
		pmf_buf_printf(out, "\t\t\t<%s message=\"", element);
		add_xml(out, pmf_buf_str(&measured));
		pmf_buf_addstr(out, "\"/>\n");
	} else {
		pmf_buf_addstr(out, "\t\t\t<system-out>");
		add_xml(out, pmf_buf_str(&measured));
		pmf_buf_addstr(out, "</system-out>\n");
	}
	pmf_buf_addstr(out, "\t\t</testcase>\n");
	pmf_buf_release(&measured);
}

int pmf_check_write_junit(const struct pmf_check *c, const char *path, struct pmf_err *err)
{
	size_t missed = count(c, PMF_VERDICT_MISSED), unknown = count(c, PMF_VERDICT_UNKNOWN);
	struct pmf_buf out = PMF_BUF_INIT;
	int ret;

	pmf_buf_printf(&out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
		"\t<testsuite name=\"pmuflame check\" tests=\"%zu\" failures=\"%zu\" "
		"errors=\"%zu\">\n",
		missed + unknown + count(c, PMF_VERDICT_MET), missed, unknown);
	for (size_t g = 0; g < c->n; g++)
		for (size_t i = 0; i < c->groups[g].n; i++)
			add_testcase(&c->groups[g], &c->groups[g].items[i], &out);
	pmf_buf_addstr(&out, "\t</testsuite>\n</testsuites>\n");
	ret = write_text(&out, path, err);
	pmf_buf_release(&out);
	return ret;
}

/* ---- Markdown ---- */

static void add_cell(struct pmf_buf *out, const char *text)
{
	pmf_buf_addch(out, ' ');
	pmf_buf_addmarkdown(out, text);
	pmf_buf_addstr(out, " |");
}

int pmf_check_write_markdown(const struct pmf_check *c, const char *path, struct pmf_err *err)
{
	struct pmf_buf out = PMF_BUF_INIT, measured = PMF_BUF_INIT;
	int ret;

	pmf_buf_addstr(&out, "| Verdict | Budget | Expected | Measured |\n|---|---|---|---|\n");
	for (size_t g = 0; g < c->n; g++) {
		for (size_t i = 0; i < c->groups[g].n; i++) {
			const struct pmf_check_item *item = &c->groups[g].items[i];
			bool met = item->verdict.kind == PMF_VERDICT_MET;

			pmf_buf_clear(&measured);
			describe(item, &measured);
			pmf_buf_printf(&out, met ? "| %s |" : "| **%s** |",
				pmf_verdict_name(item->verdict.kind));
			add_cell(&out, item->name);
			add_cell(&out, item->budget->text);
			add_cell(&out, pmf_buf_str(&measured));
			pmf_buf_addch(&out, '\n');
		}
	}
	ret = write_text(&out, path, err);
	pmf_buf_release(&out);
	pmf_buf_release(&measured);
	return ret;
}
