/* pmuflame/advise.h - what a profile's frames and counters suggest to try, by rules from files.
 * Layer: study (uses base, profile). Threads: one owner per object.
 *
 * man/pmuflame.1, ADVICE, says what a file may hold. Unlike pmuflame.ini it may be anybody's: it runs
 * nothing and names no file, the text in it is printed without control characters, and what a pattern
 * may cost is bounded (regex.h). */
#ifndef PMUFLAME_ADVISE_H
#define PMUFLAME_ADVISE_H

#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include "pmuflame/regex.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* [event NAME]: labels of events that rules take for the same. The one called "time" says what could
 * be gained. */
struct pmf_rule_event {
	char *name;
	struct pmf_regex *labels;
	char *record; /* what to record it by, as --event takes it */
	double each;  /* so many events are one of the class */
};

/* Share of class @num, or @num per @den, of at least @least. */
struct pmf_evidence {
	size_t num, den; /* places in the rules' classes; @den PMF_NO_CLASS: a share */
	double least;
};
#define PMF_NO_CLASS SIZE_MAX
enum { PMF_EVIDENCE_MAX = 8 }; /* of one rule */

enum pmf_rule_loop {
	PMF_LOOP_ANY,
	PMF_LOOP_LINE,   /* the user's line is in a loop */
	PMF_LOOP_CALLER, /* it is, or a line of the user's that called it */
};

/* [rule NAME]. Patterns are NULL, and sets of kinds 0, where a rule does not care. */
struct pmf_rule {
	char *name, *title, *advice; /* advice: lines with '\n' between them */
	/* The frame whose cost it is about, with all that it calls; without @frame, the user's
	 * functions with what they call of others. */
	struct pmf_regex *frame, *module, *file;
	unsigned kinds;           /* 1 << enum pmf_frame_kind */
	bool own;                 /* it is the user's, too */
	bool direct;              /* no Python frame of others between it and the user's line */
	bool calls_own;           /* it calls the user's code again */
	struct pmf_regex *below;  /* a frame that it calls */
	struct pmf_regex *except; /* no frame that leads to it */
	unsigned at_kinds;        /* of the user's line */
	enum pmf_rule_loop loop;
	struct pmf_evidence evidence[PMF_EVIDENCE_MAX]; /* all is needed; the headline's first */
	size_t nr_evidence;
	bool off;
	const char *path; /* of its file */
	int line;
};

struct pmf_rules {
	struct pmf_rule_event *classes;
	size_t nr_classes, cap_classes;
	struct pmf_rule *rules;
	size_t nr_rules, cap_rules;
	/* Paths of sources and images: of others' code, and of the user's although they are. */
	struct pmf_regex *library, *own;
	char **paths; /* of the files read */
	size_t nr_paths, cap_paths;
};

/* Add the rules of file @path to @r, which begins zeroed; one replaces an earlier file's of the same
 * name. PMF_ENOTFOUND, or PMF_EFORMAT with file and line. */
int pmf_rules_read(struct pmf_rules *r, const char *path, struct pmf_err *err);
void pmf_rules_release(struct pmf_rules *r);

/* A line of code. @name is without the place that labels of Python functions have. */
struct pmf_place {
	const char *name, *module, *file; /* "" where not known */
	uint32_t line;                    /* 0 if not known */
};

/* How much a place has of what a rule asks for. */
struct pmf_finding {
	const struct pmf_evidence *evidence;
	size_t event, per;   /* places among the profile's events; @per only of a ratio */
	double value, error; /* the share (0 to 1) or ratio, and its ± at 95 % */
	uint64_t samples;    /* of @event */
};

struct pmf_advice {
	const struct pmf_rule *rule;
	struct pmf_place at;    /* the user's */
	struct pmf_place loop;  /* around it; line 0: not asked for */
	struct pmf_place *path; /* the user's frames that led there, @at, and what it called */
	size_t nr_path;
	struct pmf_finding *findings; /* one per evidence of the rule */
	double gain; /* the share of time that it is about, or of the first event */
};

struct pmf_advices {
	struct pmf_advice *items; /* what could gain most comes first */
	size_t n, cap;
	size_t nr_judged; /* rules */
	/* The profile lacks their counters, or has those of different code. */
	const struct pmf_rule **not_judged;
	size_t nr_not_judged, cap_not_judged;
	char *missing;  /* the events to record for those, as --event takes them; NULL if none */
	size_t nr_near; /* places with a rule's limit within their error, or with few samples */
	char **notes;   /* sentences: what could not be looked at */
	size_t nr_notes, cap_notes;
	struct pmf_arena arena;
};

/* Judge the profile of @tree, which tells lines apart (struct pmf_tree_opts). A share, or a ratio,
 * counts if it is beyond its limit by more than its error, and from 10 samples or more. Loops are
 * looked for in the Python sources that frames name, where those are older than the profile. @rules
 * and @tree must outlive @a. */
void pmf_advise(struct pmf_advices *a, const struct pmf_rules *rules, const struct pmf_tree *tree);
void pmf_advices_release(struct pmf_advices *a);

#endif
