/* perf.data bytes, as a file and as a stream: whatever they are, the reader reads nothing outside
 * them and ends; and both ways it finds the same. */
#include "pmuflame/perf_data.h"
#include "record_touch.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct found {
	uint64_t records, times, sum;
};

static int on_record(void *ctx, const struct pmf_record *rec)
{
	struct found *f = ctx;

	f->records++;
	f->times += rec->time_ns;
	f->sum += touch_record(rec);
	return 0;
}

static struct found read_fd(int fd, const uint8_t *head, size_t len)
{
	struct found f = {0};
	struct pmf_perf_data *pd;

	if (fd < 0)
		abort();
	if (pmf_perf_data_open(&pd, fd, "fuzz", head, len, NULL) == 0) {
		pmf_perf_data_drain(pd, on_record, &f);
		pmf_perf_data_free(pd);
	}
	close(fd);
	return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct found file, stream;

	if (write(fd, data, size) != (ssize_t)size)
		abort();
	file = read_fd(fd, NULL, 0);
	stream = read_fd(open("/dev/null", O_RDONLY | O_CLOEXEC), data, size);
	if (memcmp(&file, &stream, sizeof file) != 0)
		abort();
	return 0;
}
