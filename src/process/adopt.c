/* Processes that run already, told by the records that the kernel would have told them with: so the table,
 * what hangs on it and a recording get them by the one way that there is. */
#include "process_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/tasks.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

enum { RECORD_MAX = 65528 }; /* header.size is 16 bits wide; the record's is a multiple of 8 */

struct teller {
	pid_t pid;
	pmf_record_cb *cb;
	void *ctx;
	struct pmf_buf bytes; /* of the record */
};

static void add_u32s(struct pmf_buf *b, uint32_t x, uint32_t y)
{
	pmf_buf_add(b, (uint32_t[]){x, y}, 2 * sizeof(uint32_t));
}

static void add_u64(struct pmf_buf *b, uint64_t x)
{
	pmf_buf_add(b, &x, sizeof x);
}

static void begin(struct teller *t, uint32_t tid)
{
	pmf_buf_clear(&t->bytes);
	add_u64(&t->bytes, 0); /* the header's place */
	add_u32s(&t->bytes, (uint32_t)t->pid, tid);
}

/* As the kernel writes strings: with their NUL, filled up to eight bytes. */
static void add_padded(struct pmf_buf *b, const char *s)
{
	static const char zeros[8];
	size_t len = strlen(s);

	pmf_buf_add(b, s, len);
	pmf_buf_add(b, zeros, 8 - len % 8);
}

/* Complete and deliver @rec, whose bytes stand in t->bytes but for the sample_id trailer (IDENTIFIER, TID,
 * TIME, CPU). It has no time: it goes before whatever has one. */
static int deliver(struct teller *t, uint32_t tid, struct pmf_record *rec)
{
	struct perf_event_header h = {.type = rec->type, .misc = rec->misc};

	add_u32s(&t->bytes, (uint32_t)t->pid, tid);
	add_u64(&t->bytes, 0);
	add_u64(&t->bytes, 0);
	add_u64(&t->bytes, 0);
	if (t->bytes.len > RECORD_MAX)
		return 0;
	h.size = (uint16_t)t->bytes.len;
	memcpy(t->bytes.data, &h, sizeof h);
	rec->pid = (uint32_t)t->pid;
	rec->tid = tid;
	rec->event = PMF_NO_EVENT;
	rec->bytes = (const uint8_t *)t->bytes.data;
	rec->size = t->bytes.len;
	return t->cb(t->ctx, rec);
}

/* /proc shows behind a kworker's name what it works on at the moment; the kernel's records do not. */
static void trim_kworker(char *comm)
{
	static const char kworker[] = "kworker/";

	if (strncmp(comm, kworker, sizeof kworker - 1) == 0 &&
		comm[sizeof kworker - 1] != 'R') /* a rescuer's name has a dash of its own */
		comm[strcspn(comm, "+-")] = '\0';
}

static int tell_comm(struct teller *t, uint32_t tid, const char *name, bool exec)
{
	char comm[16]; /* TASK_COMM_LEN */
	struct pmf_record rec = {.type = PERF_RECORD_COMM,
		.misc = exec ? PERF_RECORD_MISC_COMM_EXEC : 0,
		.comm = {.comm = comm, .exec = exec}};

	snprintf(comm, sizeof comm, "%s", name);
	begin(t, tid);
	add_padded(&t->bytes, comm);
	return deliver(t, tid, &rec);
}

static int tell_thread(struct teller *t, pid_t tid)
{
	char path[64], comm[64];

	snprintf(path, sizeof path, "/proc/%d/task/%d/comm", (int)t->pid, (int)tid);
	if (pmf_file_read_line(path, comm, sizeof comm, NULL))
		return 0; /* it has just ended, and a record tells that */
	trim_kworker(comm);
	return tell_comm(t, (uint32_t)tid, comm, false);
}

/* The main thread first: its name is the process's. */
static int tell_threads(struct teller *t)
{
	DIR *tasks = pmf_tasks_open(t->pid);
	int ret = tell_thread(t, t->pid);
	pid_t tid;

	while (ret == 0 && (tid = pmf_tasks_next(tasks)))
		if (tid != t->pid)
			ret = tell_thread(t, tid);
	pmf_tasks_close(tasks);
	return ret;
}

static int tell_mapping(struct teller *t, struct pmf_maps_line *l)
{
	const char *path = l->path[0] ? l->path : "//anon"; /* as MMAP2 records name it */
	struct pmf_record rec = {.type = PERF_RECORD_MMAP2,
		.misc = PERF_RECORD_MISC_USER | (l->exec ? 0 : PERF_RECORD_MISC_MMAP_DATA),
		.mmap = {.start = l->start,
			.len = l->end - l->start,
			.pgoff = l->pgoff,
			.dev = l->dev,
			.ino = l->ino,
			.prot = l->exec ? PROT_READ | PROT_EXEC : PROT_READ,
			.path = path}};

	pmf_maps_unescape(l->path);
	begin(t, (uint32_t)t->pid);
	add_u64(&t->bytes, l->start);
	add_u64(&t->bytes, l->end - l->start);
	add_u64(&t->bytes, l->pgoff);
	add_u32s(&t->bytes, major(l->dev), minor(l->dev));
	add_u64(&t->bytes, l->ino);
	add_u64(&t->bytes, 0); /* the inode's generation */
	add_u32s(&t->bytes, rec.mmap.prot, MAP_PRIVATE);
	add_padded(&t->bytes, path);
	return deliver(t, (uint32_t)t->pid, &rec);
}

static int tell_mappings(struct teller *t, bool data_maps, struct pmf_err *err)
{
	char path[64], *save = NULL;
	struct pmf_buf maps = PMF_BUF_INIT;
	struct pmf_maps_line l;
	int ret;

	snprintf(path, sizeof path, "/proc/%d/maps", (int)t->pid);
	ret = pmf_file_read(path, PMF_PROC_MAPS_MAX, &maps, err);
	/* Of a kernel thread and of a zombie there is nothing to read. */
	if (ret == 0 && maps.len)
		for (char *line = strtok_r(maps.data, "\n", &save); line && ret == 0;
			line = strtok_r(NULL, "\n", &save))
			if (pmf_maps_parse_line(line, &l) && (l.exec || (data_maps && l.ino)))
				ret = tell_mapping(t, &l);
	pmf_buf_release(&maps);
	return ret;
}

int pmf_process_tell_exec(pid_t pid, const char *path, pmf_record_cb *cb, void *ctx)
{
	struct teller t = {pid, cb, ctx, PMF_BUF_INIT};
	const char *slash = strrchr(path, '/');
	int ret = tell_comm(&t, (uint32_t)pid, slash ? slash + 1 : path, true);

	pmf_buf_release(&t.bytes);
	return ret;
}

int pmf_process_adopt(pid_t pid, bool data_maps, pmf_record_cb *cb, void *ctx, struct pmf_err *err)
{
	struct teller t = {pid, cb, ctx, PMF_BUF_INIT};
	int ret = tell_threads(&t);

	if (ret == 0)
		ret = tell_mappings(&t, data_maps, err);
	pmf_buf_release(&t.bytes);
	return ret;
}

int pmf_process_adopt_all(
	bool data_maps, pmf_record_cb *cb, void *ctx, size_t *refused, struct pmf_err *err)
{
	DIR *dir = opendir("/proc");
	pid_t pid;

	*refused = 0;
	if (!dir)
		return pmf_err_errno(
			err, PMF_EIO, errno, "cannot list what runs: '/proc' is not there");
	while ((pid = pmf_tasks_next(dir)))
		*refused += pmf_process_adopt(pid, data_maps, cb, ctx, NULL) == PMF_EPERM;
	pmf_tasks_close(dir);
	return 0;
}
