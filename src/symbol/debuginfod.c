/* Debug files from servers (debuginfod(8)), by elfutils' client library. It is loaded when it is needed,
 * for it brings an HTTP client with it, and most runs name no server. */
#include "symbol_priv.h"

#include "pmuflame/clock.h"
#include "pmuflame/units.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECONDS_DEFAULT = 60 };
#define SONAME "libdebuginfod.so.1"
#define NS_PER_S UINT64_C(1000000000)

/* debuginfod_find_debuginfo(3), under the names without their "debuginfod_". */
struct debuginfod_client;
struct library {
	struct debuginfod_client *(*begin)(void);
	void (*end)(struct debuginfod_client *c);
	int (*find_debuginfo)(
		struct debuginfod_client *c, const unsigned char *id, int id_len, char **path);
	void (*set_progressfn)(struct debuginfod_client *c,
		int (*progress)(struct debuginfod_client *c, long done, long of));
	void (*set_user_data)(struct debuginfod_client *c, void *data);
};

struct pmf_debuginfod {
	struct library lib;
	struct debuginfod_client *client;
	bool loaded;
	pmf_debuginfod_progress *progress;
	void *ctx;
	uint64_t start_ns, used_ns, limit_ns; /* of this fetch; by those before it, and of all */
	char why[200];
};

static bool load(struct library *lib)
{
	const struct {
		const char *name;
		void *to;
	} calls[] = {
		{"debuginfod_begin", &lib->begin},
		{"debuginfod_end", &lib->end},
		{"debuginfod_find_debuginfo", &lib->find_debuginfo},
		{"debuginfod_set_progressfn", &lib->set_progressfn},
		{"debuginfod_set_user_data", &lib->set_user_data},
	};
	/* It stays loaded: what HTTP clients bring runs code at exit. */
	void *handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL), *call;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(calls) && handle; i++) {
		call = dlsym(handle, calls[i].name);
		if (!call)
			return false;
		memcpy(calls[i].to, &call, sizeof call);
	}
	return handle != NULL;
}

/* elfutils' own variable for the seconds that a file may take. */
static uint64_t limit_ns(void)
{
	const char *text = getenv("DEBUGINFOD_MAXTIME");
	uint64_t s = 0;

	if (!text || pmf_parse_u64(text, strlen(text), &s, "DEBUGINFOD_MAXTIME", NULL) || s == 0)
		s = SECONDS_DEFAULT;
	return PMF_MIN(s, UINT64_C(1) << 20) * NS_PER_S;
}

struct pmf_debuginfod *pmf_debuginfod_new(pmf_debuginfod_progress *progress, void *ctx)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	struct pmf_debuginfod *d;

	if (!urls || !urls[strspn(urls, " ")])
		return NULL;
	d = pmf_zalloc(sizeof *d);
	d->progress = progress;
	d->ctx = ctx;
	d->limit_ns = limit_ns();
	return d;
}

void pmf_debuginfod_free(struct pmf_debuginfod *d)
{
	if (d && d->client)
		d->lib.end(d->client);
	free(d);
}

static uint64_t fetch_ns(const struct pmf_debuginfod *d)
{
	return pmf_clock_ns(CLOCK_MONOTONIC) - d->start_ns;
}

/* Not 0: give up. @c alone does not lead to us, and what does is a function of the library. */
static int on_progress(struct debuginfod_client *c, long done, long of)
{
	void *(*get_user_data)(struct debuginfod_client * c) = NULL;
	void *handle = dlopen(SONAME, RTLD_NOW | RTLD_NOLOAD), *call;
	struct pmf_debuginfod *d;

	if (!handle)
		return 1;
	call = dlsym(handle, "debuginfod_get_user_data");
	dlclose(handle); /* the client still has it open */
	if (!call)
		return 1;
	memcpy(&get_user_data, &call, sizeof call);
	d = get_user_data(c);
	return d->used_ns + fetch_ns(d) > d->limit_ns ||
	       !d->progress(d->ctx, done > 0 ? (uint64_t)done : 0, of > 0 ? (uint64_t)of : 0);
}

static bool begin(struct pmf_debuginfod *d)
{
	if (d->loaded)
		return d->client != NULL;
	d->loaded = true;
	if (!load(&d->lib)) {
		snprintf(d->why, sizeof d->why,
			SONAME " is not installed here (Debian: libdebuginfod1)");
		return false;
	}
	d->client = d->lib.begin();
	if (!d->client) {
		snprintf(d->why, sizeof d->why, "its client library does not start");
		return false;
	}
	d->lib.set_user_data(d->client, d);
	d->lib.set_progressfn(d->client, on_progress);
	return true;
}

int pmf_debuginfod_fetch(struct pmf_debuginfod *d, const uint8_t *build_id, size_t len, char **path)
{
	int fd;

	if (len < 2 || d->used_ns >= d->limit_ns || !begin(d))
		return -1;
	d->start_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	fd = d->lib.find_debuginfo(d->client, build_id, (int)len, path);
	d->used_ns += fetch_ns(d);
	if (fd >= 0)
		return fd;
	if (d->used_ns >= d->limit_ns)
		snprintf(d->why, sizeof d->why,
			"fetching was given up after %llu s, and DEBUGINFOD_MAXTIME sets that",
			(unsigned long long)(d->limit_ns / NS_PER_S));
	else if (fd != -ENOENT && fd != -ENOSYS && !d->why[0])
		snprintf(d->why, sizeof d->why, "%s", strerror(-fd));
	return -1;
}

const char *pmf_debuginfod_why(const struct pmf_debuginfod *d)
{
	return d->why;
}
