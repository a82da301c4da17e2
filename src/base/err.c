#include "pmuflame/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int pmf_err_set(struct pmf_err *err, enum pmf_status status, const char *fmt, ...)
{
	if (err) {
		va_list ap;

		err->status = status;
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof err->text, fmt, ap);
		va_end(ap);
	}
	return status;
}

int pmf_err_errno(struct pmf_err *err, enum pmf_status status, int errnum, const char *fmt, ...)
{
	if (err) {
		va_list ap;
		size_t len;

		err->status = status;
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof err->text, fmt, ap);
		va_end(ap);
		len = strlen(err->text);
		snprintf(err->text + len, sizeof err->text - len, ": %s", strerror(errnum));
	}
	return status;
}

int pmf_err_prefix(struct pmf_err *err, const char *fmt, ...)
{
	char old[sizeof err->text];
	size_t len;
	va_list ap;

	if (!err)
		return PMF_EIO;
	memcpy(old, err->text, sizeof old);
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	/* The old text loses its end, not the message its form, when both do not fit. */
	snprintf(err->text + len, sizeof err->text - len, ": %.*s",
		(int)(sizeof err->text - len - 3 < sizeof old ? sizeof err->text - len - 3
							      : sizeof old - 1),
		old);
	return err->status;
}

enum pmf_status pmf_status_of_errno(int errnum)
{
	switch (errnum) {
	case 0:
		return PMF_OK;
	case EPERM:
	case EACCES:
		return PMF_EPERM;
	case ENOENT:
	case ESRCH:
	case ENODEV:
		return PMF_ENOTFOUND;
	case ENOSYS:
	case EOPNOTSUPP:
		return PMF_EUNSUP;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOSPC:
		return PMF_ELIMIT;
	case EINVAL:
		return PMF_EUSAGE;
	default:
		return PMF_EIO;
	}
}
