/* pmuflame/err.h - how a function says that it failed, and why.
 * Layer: base. Threads: values only, no shared state. */
#ifndef PMUFLAME_ERR_H
#define PMUFLAME_ERR_H

/* Functions return 0 or a negative status. The status says what kind of failure it was, so that a
 * caller can choose a fallback or an exit status; the sentence in struct pmf_err is for people. */
enum pmf_status {
	PMF_OK = 0,
	PMF_EUSAGE = -1,    /* what the user wrote is wrong */
	PMF_ENOTFOUND = -2, /* no such event, file, process, section */
	PMF_EPERM = -3,     /* the kernel or the file system does not permit it */
	PMF_EUNSUP = -4,    /* this machine, kernel or build cannot do it */
	PMF_EFORMAT = -5,   /* a file or a record is malformed */
	PMF_EIO = -6,       /* reading or writing failed */
	PMF_ELIMIT = -7,    /* a limit was reached (memory, descriptors, sizes) */
};

struct pmf_err {
	enum pmf_status status;
	char text[1000]; /* one sentence: what, why, and what to do where that is known */
};

#define PMF_ERR_INIT \
	{ \
		PMF_OK, "" \
	}

/* Fill @err (which may be NULL) and return @status. The text is cut at the buffer's size. */
int pmf_err_set(struct pmf_err *err, enum pmf_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As pmf_err_set, with ": " and strerror(@errnum) behind it. */
int pmf_err_errno(struct pmf_err *err, enum pmf_status status, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Put "PREFIX: " before the text that is there; returns the status that is there. */
int pmf_err_prefix(struct pmf_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The status that fits errno value @errnum: EACCES and EPERM, ENOENT, EMFILE and so on. */
enum pmf_status pmf_status_of_errno(int errnum);

#endif
