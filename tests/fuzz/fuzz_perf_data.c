/* perf.data bytes, as a file and as a stream: whatever they are, the reader reads nothing outside
 * them and ends; and both ways it finds the same. */
#include "perf_data_found.h"
#include <fcntl.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct found file, stream;

	if (write(fd, data, size) != (ssize_t)size)
		abort();
	file = find_all(fd, NULL, 0);
	stream = find_all(open("/dev/null", O_RDONLY | O_CLOEXEC), data, size);
	if (!found_same(&file, &stream))
		abort();
	return 0;
}
