/* Records that perf compressed: one zstd stream through all COMPRESSED records, whose pieces break
 * records anywhere. */
#include "config.h"

#include "perf_data_priv.h"

#ifdef HAVE_LIBZSTD
#include <zstd.h>

/* perf compresses at most one ring at a time, of which 64 KiB become a record. */
enum { UNPACKED_MAX = 256 << 20 };

void pmf_pd_unpack(struct pmf_perf_data *pd, const uint8_t *data, size_t len)
{
	ZSTD_inBuffer in = {data, len, 0};
	size_t total = 0, ret = 0;

	if (!pd->zstd)
		pd->zstd = ZSTD_createDCtx();
	while (pd->ret >= 0 && pd->damage.stopped.status == PMF_OK) {
		ZSTD_outBuffer out = {0};

		out.dst = pmf_pd_room(pd, &pd->unpacked, PMF_PD_RECORD_MAX, &out.size);
		if (pd->zstd)
			ret = ZSTD_decompressStream(pd->zstd, &out, &in);
		pd->unpacked.chunk->len += out.pos;
		total += out.pos;
		pmf_pd_walk(pd, &pd->unpacked);
		if (!pd->zstd || ZSTD_isError(ret) || total > UNPACKED_MAX)
			pmf_err_set(&pd->damage.stopped, PMF_EFORMAT,
				"the compressed records of '%s' cannot be read on: %s", pd->name,
				!pd->zstd ? "no memory for it"
				: ZSTD_isError(ret)
					? ZSTD_getErrorName(ret)
					: "one of them unpacks to more than perf writes");
		if (in.pos == in.size && out.pos < out.size)
			break;
	}
}

void pmf_pd_unpack_release(struct pmf_perf_data *pd)
{
	ZSTD_freeDCtx(pd->zstd);
}

#else

void pmf_pd_unpack(struct pmf_perf_data *pd, const uint8_t *data, size_t len)
{
	(void)data, (void)len;
	pmf_err_set(&pd->damage.stopped, PMF_EUNSUP,
		"'%s' has compressed records, and this pmuflame was built without libzstd: build it "
		"again after 'apt-get install libzstd-dev', or record without -z",
		pd->name);
}

void pmf_pd_unpack_release(struct pmf_perf_data *pd)
{
	(void)pd;
}

#endif
