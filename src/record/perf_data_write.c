/* perf.data, version 2, for other programs: header, attributes, records, and what can only be known
 * or needs not be known before the end behind them. Every event has one id here, its number: the
 * kernel's are many, one for each CPU, and of events that are opened during the run too. */
#include "config.h"

#include "pmuflame/perf_data_write.h"

#include "perf_data_priv.h"
#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	STRING_ALIGN = 64,
	RECORD_MAX = 65528, /* header.size has 16 bits, records are multiples of 8 */
	CHAIN_MAX = (RECORD_MAX - 1024) / 8, /* the rest of a sample is less than that */
	BUFFER_BYTES = 1 << 20,
	/* Readers refuse attributes that are longer than those they know. */
	ATTR_BYTES = PERF_ATTR_SIZE_VER5,
};

struct file_header {
	char magic[8];
	uint64_t size, attr_size;
	struct pmf_pd_section attrs, data, event_types;
	uint64_t features[PMF_PD_FEAT_BITS / 64];
};

struct file_attr {
	uint8_t attr[ATTR_BYTES];
	struct pmf_pd_section ids;
};

struct event_out {
	char *name;
	struct file_attr attr;
	uint64_t sample_type;
};

struct pmf_perf_data_writer {
	struct pmf_outfile of; /* f is NULL once writing failed */
	int write_errno;
	char *path, *buffer;
	struct file_header header;
	struct event_out *events; /* the sideband event is the last */
	size_t nr_events;
	struct pmf_buf cmdline; /* the feature, whole */
	bool round_open;        /* records were added since the last round */
	uint8_t scratch[RECORD_MAX];
	size_t len;
};

/* The disk is full, say: give back what was taken, the profile needs room too. */
static void give_up(struct pmf_perf_data_writer *w)
{
	w->write_errno = errno ? errno : EIO;
	pmf_outfile_abort(&w->of);
}

static void put_bytes(struct pmf_perf_data_writer *w, const void *data, size_t len)
{
	if (w->of.f && len && fwrite(data, 1, len, w->of.f) != len)
		give_up(w);
}

static void put_data(struct pmf_perf_data_writer *w, const void *data, size_t len)
{
	put_bytes(w, data, len);
	w->header.data.size += len;
}

/* u32 length, the text and its NUL, zeroes up to the alignment. */
static void add_string(struct pmf_buf *b, const char *s)
{
	static const char zeroes[STRING_ALIGN];
	size_t len = strlen(s) + 1;
	uint32_t padded = (uint32_t)((len + STRING_ALIGN - 1) / STRING_ALIGN * STRING_ALIGN);

	pmf_buf_add(b, &padded, sizeof padded);
	pmf_buf_add(b, s, len);
	pmf_buf_add(b, zeroes, padded - len);
}

static void add_cmdline(struct pmf_buf *b, char *const *argv)
{
	uint32_t n = 1;

	while (argv && argv[n - 1])
		n++;
	pmf_buf_add(b, &n, sizeof n);
	add_string(b, "pmuflame");
	for (uint32_t i = 0; i + 1 < n; i++)
		add_string(b, argv[i]);
}

/* @attr as the file's records are: the weight stands in the period, whatever it was made from. */
static void make_attr(struct event_out *e, const struct perf_event_attr *attr, size_t place)
{
	struct perf_event_attr a = *attr;

	a.size = ATTR_BYTES;
	a.sample_type &= PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID |
			 PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_CALLCHAIN |
			 PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
	a.sample_type |= PERF_SAMPLE_PERIOD;
	a.read_format = 0;
	/* Of a tracepoint readers want the format of its fields, which are not recorded. */
	if (a.type == PERF_TYPE_TRACEPOINT)
		a.type = PERF_TYPE_RAW;
	memcpy(e->attr.attr, &a, ATTR_BYTES);
	e->attr.ids = (struct pmf_pd_section){sizeof(struct file_header) + 8 * place, 8};
	e->sample_type = a.sample_type;
}

static void make_events(struct pmf_perf_data_writer *w, const struct pmf_perf_data_out *o)
{
	struct perf_event_attr dummy = {.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
			       PERF_SAMPLE_CPU,
		.sample_id_all = 1,
		.mmap = 1,
		.mmap2 = 1,
		.mmap_data = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.use_clockid = o->attrs[0]->use_clockid,
		.clockid = o->attrs[0]->clockid};

	w->nr_events = o->nr_events + 1;
	w->events = pmf_calloc(w->nr_events, sizeof *w->events);
	for (size_t i = 0; i < w->nr_events; i++) {
		bool last = i == o->nr_events;

		w->events[i].name = pmf_strdup(last ? "dummy" : o->names[i]);
		make_attr(&w->events[i], last ? &dummy : o->attrs[i], i);
	}
}

static void put_start(struct pmf_perf_data_writer *w)
{
	size_t n = w->nr_events;
	struct file_header *h = &w->header;

	memcpy(h->magic, "PERFILE2", sizeof h->magic);
	h->size = sizeof *h;
	h->attr_size = sizeof(struct file_attr);
	h->attrs = (struct pmf_pd_section){sizeof *h + 8 * n, n * sizeof(struct file_attr)};
	h->data.off = h->attrs.off + h->attrs.size;
	put_bytes(w, h, sizeof *h);
	for (uint64_t id = 1; id <= n; id++)
		put_bytes(w, &id, sizeof id);
	for (size_t i = 0; i < n; i++)
		put_bytes(w, &w->events[i].attr, sizeof w->events[i].attr);
}

int pmf_perf_data_create(
	struct pmf_perf_data_writer **out, const struct pmf_perf_data_out *o, struct pmf_err *err)
{
	struct pmf_perf_data_writer *w = pmf_zalloc(sizeof *w);
	int ret = pmf_outfile_open_named(&w->of, o->path, err);

	if (ret) {
		free(w);
		return ret;
	}
	w->path = pmf_strdup(o->path);
	w->buffer = pmf_malloc(BUFFER_BYTES);
	setvbuf(w->of.f, w->buffer, _IOFBF, BUFFER_BYTES);
	add_cmdline(&w->cmdline, o->argv);
	make_events(w, o);
	if (fchmod(fileno(w->of.f), 0600) < 0)
		give_up(w);
	put_start(w);
	*out = w;
	return 0;
}

/* ---- Records: made in scratch ---- */

static void add(struct pmf_perf_data_writer *w, const void *data, size_t len)
{
	if (len)
		memcpy(w->scratch + w->len, data, len);
	w->len += len;
}

static void add_u64(struct pmf_perf_data_writer *w, uint64_t v)
{
	add(w, &v, sizeof v);
}

static void add_pair(struct pmf_perf_data_writer *w, uint32_t a, uint32_t b)
{
	add(w, (uint32_t[]){a, b}, 8);
}

static void begin(struct pmf_perf_data_writer *w)
{
	w->len = sizeof(struct perf_event_header);
}

static void end(struct pmf_perf_data_writer *w, uint32_t type, uint16_t misc)
{
	struct perf_event_header h = {.type = type, .misc = misc, .size = (uint16_t)w->len};

	memcpy(w->scratch, &h, sizeof h);
	put_data(w, w->scratch, w->len);
	w->round_open = true;
}

static uint64_t id_of(const struct pmf_perf_data_writer *w, uint32_t event)
{
	return event < w->nr_events - 1 ? event + 1 : w->nr_events;
}

/* The sample_id trailer of what the kernel did not write. */
static void add_trailer(struct pmf_perf_data_writer *w, uint32_t pid)
{
	add_pair(w, pid, pid);
	add_u64(w, 0);
	add_u64(w, 0);
	add_u64(w, w->nr_events);
}

void pmf_perf_data_kernel_map(struct pmf_perf_data_writer *w, const char *name, uint64_t start,
	uint64_t len, uint64_t pgoff)
{
	char padded[256] = {0};
	size_t name_len = strnlen(name, sizeof padded - 8);

	memcpy(padded, name, name_len);
	begin(w);
	add_pair(w, UINT32_MAX, 0);
	add_u64(w, start);
	add_u64(w, len);
	add_u64(w, pgoff);
	add(w, padded, (name_len + 8) / 8 * 8);
	add_trailer(w, UINT32_MAX);
	end(w, PERF_RECORD_MMAP, PERF_RECORD_MISC_KERNEL);
}

/* Only what the kernel copied of the stack: the room that was asked for is mostly empty. */
static void add_stack(struct pmf_perf_data_writer *w, const struct pmf_sample *smp)
{
	size_t room = RECORD_MAX - w->len - 16;
	size_t size = PMF_MIN((smp->stack_bytes + 7) & ~(size_t)7, room & ~(size_t)7);

	add_u64(w, size);
	if (size == 0)
		return;
	add(w, smp->stack, size);
	add_u64(w, PMF_MIN(smp->stack_bytes, size));
}

void pmf_perf_data_sample(
	struct pmf_perf_data_writer *w, const struct pmf_record *rec, uint64_t weight)
{
	const struct pmf_sample *smp = &rec->sample;
	uint64_t st = w->events[id_of(w, rec->event) - 1].sample_type;
	size_t nr_regs = (size_t)__builtin_popcountll(smp->regs_mask);
	size_t nr_chain = PMF_MIN(smp->nr_callchain, (size_t)CHAIN_MAX);

	begin(w);
	add_u64(w, id_of(w, rec->event));
	add_u64(w, smp->ip);
	add_pair(w, rec->pid, rec->tid);
	add_u64(w, rec->time_ns);
	add_pair(w, rec->cpu, 0);
	add_u64(w, weight);
	if (st & PERF_SAMPLE_CALLCHAIN) {
		add_u64(w, nr_chain);
		add(w, smp->callchain, 8 * nr_chain);
	}
	if (st & PERF_SAMPLE_REGS_USER) {
		add_u64(w, smp->regs_abi);
		add(w, smp->regs, 8 * nr_regs);
	}
	if (st & PERF_SAMPLE_STACK_USER)
		add_stack(w, smp);
	end(w, rec->type, rec->misc);
}

void pmf_perf_data_record(struct pmf_perf_data_writer *w, const struct pmf_record *rec)
{
	uint64_t id = id_of(w, rec->event);

	begin(w);
	add(w, rec->bytes + w->len, rec->size - w->len - sizeof id);
	add_u64(w, id);
	end(w, rec->type, rec->misc);
}

/* The header goes again over the one that is there. */
static void update_header(struct pmf_perf_data_writer *w)
{
	if (!w->of.f)
		return;
	if (fflush(w->of.f) != 0 || pwrite(fileno(w->of.f), &w->header, sizeof w->header, 0) !=
					    (ssize_t)sizeof w->header)
		give_up(w);
}

void pmf_perf_data_round(struct pmf_perf_data_writer *w)
{
	if (!w->round_open)
		return;
	begin(w);
	end(w, PMF_PD_FINISHED_ROUND, 0);
	w->round_open = false;
	update_header(w);
}

/* ---- Features, behind the records ---- */

static void add_event_desc(struct pmf_buf *b, const struct pmf_perf_data_writer *w)
{
	uint32_t nr[2] = {(uint32_t)w->nr_events, ATTR_BYTES}, nr_ids = 1;

	pmf_buf_add(b, nr, sizeof nr);
	for (uint64_t id = 1; id <= w->nr_events; id++) {
		pmf_buf_add(b, w->events[id - 1].attr.attr, ATTR_BYTES);
		pmf_buf_add(b, &nr_ids, sizeof nr_ids);
		add_string(b, w->events[id - 1].name);
		pmf_buf_add(b, &id, sizeof id);
	}
}

static void add_feature(
	struct pmf_buf *b, const struct pmf_perf_data_writer *w, int feature, struct utsname *u)
{
	uint32_t cpus[2] = {
		(uint32_t)sysconf(_SC_NPROCESSORS_CONF), (uint32_t)sysconf(_SC_NPROCESSORS_ONLN)};

	switch (feature) {
	case PMF_PD_FEAT_HOSTNAME:
		add_string(b, u->nodename);
		break;
	case PMF_PD_FEAT_OSRELEASE:
		add_string(b, u->release);
		break;
	case PMF_PD_FEAT_VERSION:
		add_string(b, "pmuflame " PACKAGE_VERSION);
		break;
	case PMF_PD_FEAT_ARCH:
		add_string(b, u->machine);
		break;
	case PMF_PD_FEAT_NRCPUS:
		pmf_buf_add(b, cpus, sizeof cpus);
		break;
	case PMF_PD_FEAT_CMDLINE:
		pmf_buf_add(b, w->cmdline.data, w->cmdline.len);
		break;
	default:
		add_event_desc(b, w);
	}
}

/* A section for each, in the order of their bits, before all that they hold. */
static void put_features(struct pmf_perf_data_writer *w)
{
	static const int features[] = {PMF_PD_FEAT_HOSTNAME, PMF_PD_FEAT_OSRELEASE,
		PMF_PD_FEAT_VERSION, PMF_PD_FEAT_ARCH, PMF_PD_FEAT_NRCPUS, PMF_PD_FEAT_CMDLINE,
		PMF_PD_FEAT_EVENT_DESC};
	struct pmf_pd_section sections[PMF_ARRAY_SIZE(features)];
	uint64_t offset = w->header.data.off + w->header.data.size + sizeof sections;
	struct pmf_buf b = PMF_BUF_INIT;
	struct utsname u;

	uname(&u);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(features); i++) {
		size_t start = b.len;

		w->header.features[0] |= UINT64_C(1) << features[i];
		add_feature(&b, w, features[i], &u);
		sections[i] = (struct pmf_pd_section){offset + start, b.len - start};
	}
	put_bytes(w, sections, sizeof sections);
	put_bytes(w, b.data, b.len);
	pmf_buf_release(&b);
}

void pmf_perf_data_abort(struct pmf_perf_data_writer *w)
{
	if (!w)
		return;
	if (w->of.f)
		pmf_outfile_abort(&w->of);
	for (size_t i = 0; i < w->nr_events; i++)
		free(w->events[i].name);
	free(w->events);
	pmf_buf_release(&w->cmdline);
	free(w->path);
	free(w->buffer);
	free(w);
}

int pmf_perf_data_commit(struct pmf_perf_data_writer *w, struct pmf_err *err)
{
	int ret;

	pmf_perf_data_round(w);
	put_features(w);
	update_header(w);
	if (w->of.f)
		ret = pmf_outfile_commit(&w->of, err);
	else
		ret = pmf_err_errno(err, PMF_EIO, w->write_errno,
			"cannot write '%s', which was removed", w->path);
	pmf_perf_data_abort(w);
	return ret;
}
