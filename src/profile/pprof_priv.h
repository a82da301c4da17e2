/* What writing and reading pprof files share. The format is profile.proto's, of the project
 * google/pprof; what of ours is where in it stands in docs/adr/0008. */
#ifndef PMF_PPROF_PRIV_H
#define PMF_PPROF_PRIV_H

#include "profile_priv.h"

/* Field numbers, by message. */
enum {
	PPROF_SAMPLE_TYPE = 1,
	PPROF_SAMPLE = 2,
	PPROF_MAPPING = 3,
	PPROF_LOCATION = 4,
	PPROF_FUNCTION = 5,
	PPROF_STRING_TABLE = 6,
	PPROF_TIME_NANOS = 9,
	PPROF_DURATION_NANOS = 10,
	PPROF_PERIOD_TYPE = 11,
	PPROF_PERIOD = 12,
	PPROF_COMMENT = 13,
	PPROF_DEFAULT_SAMPLE_TYPE = 14,
};
enum { VALUE_TYPE_TYPE = 1, VALUE_TYPE_UNIT = 2 };
enum { SAMPLE_LOCATION_ID = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3 };
enum { LABEL_KEY = 1, LABEL_STR = 2, LABEL_NUM = 3 };
enum {
	MAPPING_ID = 1,
	MAPPING_START = 2,
	MAPPING_LIMIT = 3,
	MAPPING_OFFSET = 4,
	MAPPING_FILENAME = 5,
	MAPPING_BUILD_ID = 6,
	MAPPING_HAS_FUNCTIONS = 7,
	MAPPING_HAS_FILENAMES = 8,
	MAPPING_HAS_LINE_NUMBERS = 9,
	MAPPING_HAS_INLINE_FRAMES = 10,
};
enum { LOCATION_ID = 1, LOCATION_MAPPING_ID = 2, LOCATION_ADDRESS = 3, LOCATION_LINE = 4 };
enum { LINE_FUNCTION_ID = 1, LINE_LINE = 2 };
enum {
	FUNCTION_ID = 1,
	FUNCTION_NAME = 2,
	FUNCTION_SYSTEM_NAME = 3,
	FUNCTION_FILENAME = 4,
	FUNCTION_START_LINE = 5,
};

/* ---- profile_pprof.c ---- */

/* Frames that are labels of their samples, not locations, when they stand in this order at the
 * outer end of a stack. */
struct pmf_pprof_label {
	enum pmf_frame_kind kind;
	const char *key;
};
enum { PMF_PPROF_MAX_LABELS = 2 };
extern const struct pmf_pprof_label pmf_pprof_labels[];
extern const size_t pmf_pprof_nr_labels;

#define PMF_PPROF_CONTAINER "container" /* the key of a process's other label */
#define PMF_PPROF_SAMPLES ".samples"    /* behind an event's label: its column of samples */
#define PMF_PPROF_JOINED ".joined"      /* behind its file name: a label's key */

/* ---- profile_comments.c ---- */

/* Append the ledger of @p to @strings, a comment a line, and their ids to @ids as varints. */
void pmf_pprof_write_ledger(
	const struct pmf_profile *p, struct pmf_strtab *strings, struct pmf_buf *ids);
/* Is @text a comment of ours? */
bool pmf_pprof_is_ours(const char *text);
/* Take into @p, whose events are there, what a comment of ours says. */
int pmf_pprof_read_comment(struct pmf_profile *p, const char *text, struct pmf_err *err);

#endif
