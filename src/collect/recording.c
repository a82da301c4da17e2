/* A perf.data file: its records as a live run's, its files and its kernel wherever they are now. */
#include "collect_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include "recording_priv.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

/* Each is looked at for each of the kernel's functions. */
enum { MODULES_MAX = 4096, ASK_EVERY = 4096, NS_PER_S = 1000000000 };

/* ---- What the recording says ---- */

static void list_events(struct recording *r)
{
	const struct pmf_perf_data_info *info = r->info;

	r->columns = pmf_calloc(info->nr_events, sizeof *r->columns);
	for (size_t i = 0; i < info->nr_events; i++) {
		const struct pmf_perf_data_event *ev = &info->events[i];

		r->columns[i] = ev->sideband ? PMF_NO_EVENT : (uint32_t)r->list.n;
		/* Neither with -a nor with -p does anything wait for an exec. */
		r->runs_workload |= ev->attr.enable_on_exec;
		if (!ev->sideband)
			pmf_event_list_add_recorded(&r->list, ev->name, &ev->attr);
	}
}

/* Was it recorded here, by the kernel release that runs now? */
static bool is_this_host(const struct pmf_perf_data_info *info)
{
	struct utsname u;

	return info->hostname && info->release && uname(&u) == 0 &&
	       strcmp(u.nodename, info->hostname) == 0 && strcmp(u.release, info->release) == 0;
}

static bool is_kernel_path(const char *path)
{
	return pmf_starts_with(path, "[kernel.kallsyms]");
}

static bool build_id_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct recording *r = ctx;

	return strcmp(r->info->build_ids[value].path, key) == 0;
}

/* Of what the recorded machine itself, not a guest of it, had at @path. */
static size_t build_id_of(void *ctx, const char *path, uint8_t out[20])
{
	struct recording *r = ctx;
	const struct pmf_perf_data_build_id *id;
	uint32_t i;

	/* A stream tells them behind its samples. */
	for (; r->nr_indexed < r->info->nr_build_ids; r->nr_indexed++) {
		id = &r->info->build_ids[r->nr_indexed];
		if (id->pid == UINT32_MAX)
			pmf_index_add(&r->build_ids, pmf_hash_bytes(id->path, strlen(id->path)),
				(uint32_t)r->nr_indexed);
	}
	i = pmf_index_find(&r->build_ids, pmf_hash_bytes(path, strlen(path)), build_id_eq, r, path);
	if (i == UINT32_MAX)
		return 0;
	id = &r->info->build_ids[i];
	memcpy(out, id->bytes, id->len);
	return id->len;
}

static void describe(struct recording *r, struct pmf_profile *p)
{
	const struct pmf_perf_data_info *info = r->info;
	struct pmf_buf b = PMF_BUF_INIT;

	p->cpus = (int)PMF_MIN(info->cpus_online, (uint32_t)INT32_MAX);
	if (info->hostname)
		pmf_buf_printf(&b, "%s: ", info->hostname);
	pmf_buf_addstr(&b, info->arch_name ? info->arch_name : "machine not known");
	if (info->release)
		pmf_buf_printf(&b, ", Linux %s", info->release);
	if (p->cpus)
		pmf_buf_printf(&b, ", %d CPU%s", p->cpus, p->cpus == 1 ? "" : "s");
	if (info->perf_version && info->perf_version[0])
		pmf_buf_printf(&b, ", recorded by %s%s",
			strncmp(info->perf_version, "pmuflame", 8) == 0 ? "" : "perf ",
			info->perf_version);
	p->host_note = pmf_buf_detach(&b);
	p->duration_ns = r->last_ns - r->first_ns;
	if (info->has_clock && r->first_ns)
		p->start_unix_ns = info->wall_ns + (r->first_ns - info->clock_ns);
}

/* ---- The kernel's mappings ---- */

/* perf names a module by its file, "/lib/modules/6.1.0/kernel/fs/ext4/ext4.ko.xz", or as
 * /proc/kallsyms does; there is no dash in its own name. */
static bool module_name(const char *path, char *out, size_t size)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	size_t len = strcspn(base, "]"), n = 0;
	const char *ko = strstr(base, ".ko");

	if (base[0] == '[')
		base++, len--;
	else if (ko)
		len = (size_t)(ko - base);
	else
		return false;
	if (len == 0 || len > size - 3)
		return false;
	out[n++] = '[';
	for (size_t i = 0; i < len; i++)
		out[n++] = base[i];
	for (size_t i = 1; i < n; i++)
		if (out[i] == '-')
			out[i] = '_';
	out[n++] = ']';
	out[n] = '\0';
	return true;
}

static void add_kernel_map(struct recording *r, const struct pmf_record *rec)
{
	struct pmf_symbol_kernel *k = &r->kernel;
	uint64_t start = rec->mmap.start, end = start + rec->mmap.len;
	const char *path = rec->mmap.path;
	struct pmf_symbol_module m = {.start = start, .end = end};

	if (end <= start)
		return;
	if (!is_kernel_path(path)) {
		if (k->nr_modules < MODULES_MAX && module_name(path, m.name, sizeof m.name))
			PMF_PUSH(k->modules, k->nr_modules, k->cap_modules) = m;
		return;
	}
	path = strchr(path, ']') + 1;
	if (k->ref_va || strlen(path) >= sizeof k->ref)
		return;
	/* The offset is the address of the symbol that the name ends with. */
	memcpy(k->ref, path, strlen(path) + 1);
	k->ref_va = rec->mmap.pgoff;
	k->start = start;
	k->end = end;
	if (rec->mmap.build_id_len && rec->mmap.build_id_len <= sizeof k->build_id) {
		memcpy(k->build_id, rec->mmap.build_id, rec->mmap.build_id_len);
		k->build_id_len = rec->mmap.build_id_len;
	}
}

static void learn_kernel_id(struct recording *r)
{
	struct pmf_symbol_kernel *k = &r->kernel;

	for (size_t i = 0; i < r->info->nr_build_ids && !k->build_id_len; i++) {
		const struct pmf_perf_data_build_id *id = &r->info->build_ids[i];

		if (id->pid != UINT32_MAX || !is_kernel_path(id->path))
			continue;
		memcpy(k->build_id, id->bytes, id->len);
		k->build_id_len = id->len;
	}
}

/* ---- Records ---- */

static void count_sample(struct recording *r, const struct pmf_record *rec)
{
	if (rec->time_ns) {
		r->first_ns = r->first_ns ? PMF_MIN(r->first_ns, rec->time_ns) : rec->time_ns;
		r->last_ns = PMF_MAX(r->last_ns, rec->time_ns);
	}
	if (r->samples++ % ASK_EVERY == 0)
		pmf_shards_ask(&r->shards);
	if (!r->info->arch && rec->sample.stack_bytes)
		r->foreign_dumps++;
}

static int on_record(void *ctx, const struct pmf_record *rec)
{
	struct recording *r = ctx;
	struct pmf_record own;
	uint32_t column = rec->event == PMF_NO_EVENT ? PMF_NO_EVENT : r->columns[rec->event];

	switch (rec->type) {
	case PERF_RECORD_SAMPLE:
		if (column != PMF_NO_EVENT)
			count_sample(r, rec);
		break;
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		if ((rec->misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_KERNEL)
			add_kernel_map(r, rec);
		break;
	case PERF_RECORD_COMM:
		if (rec->comm.exec && r->runs_workload && !r->workload[0])
			snprintf(r->workload, sizeof r->workload, "%s", rec->comm.comm);
		break;
	case PERF_RECORD_READ:
		/* Some tasks' counts, not all: they are no total. */
		return 0;
	default:
		break;
	}
	if (column == rec->event)
		return pmf_shards_record(&r->shards, rec);
	own = *rec;
	own.event = column;
	return pmf_shards_record(&r->shards, &own);
}

/* jitdump files lie where they were recorded, and perf maps may still on this machine. Only samples by the
 * clock of jitdump's records (perf record -k mono) can be compared with them. */
static void use_generated_code(struct recording *r)
{
	struct pmf_jit_opts opts = {.root = r->search.symfs,
		.folder = r->kernel.this_host ? "/tmp" : NULL,
		.since = r->info->has_clock ? (time_t)(r->info->wall_ns / NS_PER_S) : 0};

	for (size_t e = 0; e < r->list.n; e++) {
		const struct perf_event_attr *attr = &r->list.events[e].attrs[0].attr;

		opts.timeless |= !attr->use_clockid || attr->clockid != CLOCK_MONOTONIC;
	}
	pmf_generated_use_recording(&r->stacks.generated, &opts);
}

/* ---- The whole ---- */

static int no_samples(const struct recording *r, struct pmf_err *err)
{
	const struct pmf_perf_data_damage *d = pmf_perf_data_damage(r->pd);

	if (r->list.n == 0)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"no samples: it has no event but such as carry records of processes");
	if (r->info->stat)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"no samples: `perf stat record` made it, which keeps counts alone; `perf "
			"record` takes samples");
	if (d->stopped.status != PMF_OK)
		return pmf_err_set(err, d->stopped.status, "no samples: %s", d->stopped.text);
	if (r->info->aux)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"no samples: it holds a hardware trace (Intel PT, Arm SPE), which is not "
			"decoded here; `perf inject --itrace` makes samples of it");
	if (d->unfinished || d->missing)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"no samples: perf did not finish it, or its end is missing");
	return pmf_err_set(err, PMF_ENOTFOUND,
		"no samples: none of its %zu event%s happened often enough while it was recorded",
		r->list.n, r->list.n == 1 ? "" : "s");
}

static void recording_init(
	struct recording *r, struct pmf_perf_data *pd, const struct pmf_recording_opts *opts)
{
	r->pd = pd;
	r->info = pmf_perf_data_info(pd);
	r->kernel.this_host = is_this_host(r->info);
	r->search = (struct pmf_image_search){
		.symfs = opts->symfs,
		.cache = opts->cache,
		.debug_root = opts->debug_root,
		.this_kernel = r->kernel.this_host,
		.build_id = build_id_of,
		.ctx = r,
	};
	pmf_index_init(&r->build_ids);
	pmf_event_list_init(&r->list);
	list_events(r);
}

static void recording_free(struct recording *r)
{
	pmf_shards_release(&r->shards);
	pmf_stacks_release(&r->stacks);
	pmf_event_list_release(&r->list);
	pmf_index_release(&r->build_ids);
	free(r->kernel.modules);
	free(r->columns);
	free(r);
}

static int read_records(struct recording *r, struct pmf_source *src, struct pmf_err *err)
{
	int ret = src->ops->drain(src, true, on_record, r);

	if (ret < 0)
		return pmf_err_set(err, PMF_EIO, "cannot go on reading the recording");
	learn_kernel_id(r);
	if (r->info->pipe)
		pmf_images_recheck(&r->stacks.table);
	return pmf_totals_end(&r->stacks, src, 0, err);
}

int pmf_collect_recording(struct pmf_profile *p, struct pmf_perf_data *pd,
	const struct pmf_recording_opts *opts, char workload[16], struct pmf_err *err)
{
	struct recording *r = pmf_zalloc(sizeof *r);
	struct pmf_source *src;
	int ret;

	recording_init(r, pd, opts);
	if (r->list.n == 0) {
		ret = no_samples(r, err);
		recording_free(r);
		return ret;
	}
	pmf_raise_nofile();
	pmf_profile_init(p, r->list.n);
	pmf_totals_begin(p, &r->list);
	for (size_t e = 0; e < r->list.n; e++)
		p->events[e].precise_ip = r->list.events[e].precise;
	pmf_stacks_init(&r->stacks, p, &r->list, r->info->arch, opts->call_graph,
		pmf_stacks_unwind_by(PMF_UNWIND_BY_AUTO, opts->sandbox), false);
	pmf_stacks_use_sandbox(&r->stacks, opts->sandbox, opts->no_sandbox);
	r->stacks.table.search = &r->search;
	use_generated_code(r);
	pmf_symbolizer_use_recording(r->stacks.symbols, &r->kernel, &r->search);
	r->stacks.lines = pmf_lines_new(&r->search, opts->inlines, opts->sandbox);
	pmf_shards_init(&r->shards, &r->stacks, r->stacks.by, 1);
	src = pmf_source_file(pd);
	ret = read_records(r, src, err);
	src->ops->free(src);
	if (ret == 0 && r->samples == 0)
		ret = no_samples(r, err);
	if (ret == 0) {
		pmf_naming_run(&r->stacks, opts->naming, opts->ctx);
		describe(r, p);
		pmf_recording_notes(r, p);
		memcpy(workload, r->workload, sizeof r->workload);
	}
	recording_free(r);
	if (ret)
		pmf_profile_release(p);
	return ret;
}
