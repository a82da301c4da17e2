#include "sandbox_args.h"

#include "cli.h"

#include "pmuflame/log.h"
#include "pmuflame/reader.h"

int pmf_sandbox_arg(const char *text, enum pmf_sandbox_mode *mode, struct pmf_err *err)
{
	static const char *const names[] = {[PMF_SANDBOX_AUTO] = "auto",
		[PMF_SANDBOX_YES] = "yes",
		[PMF_SANDBOX_NO] = "no",
		NULL};
	int i = pmf_cli_choice("--sandbox", text, names, err);

	if (i < 0)
		return i;
	*mode = (enum pmf_sandbox_mode)i;
	return 0;
}

int pmf_sandbox_begin(enum pmf_sandbox_mode mode, bool others, struct pmf_sandbox **out,
	struct pmf_err *why_not, struct pmf_err *err)
{
	*out = NULL;
	*why_not = (struct pmf_err)PMF_ERR_INIT;
	if (mode == PMF_SANDBOX_NO || (mode == PMF_SANDBOX_AUTO && !others))
		return 0;
	*out = pmf_sandbox_start(pmf_reader_serve, why_not);
	if (*out)
		pmf_info("ELF files and debug info are read by processes without privileges");
	else if (mode == PMF_SANDBOX_YES)
		return pmf_err_set(err, why_not->status, "--sandbox yes: %s", why_not->text);
	return 0;
}
