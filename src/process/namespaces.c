/* Numbers of other pid namespaces. */
#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/process.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_BYTES_MAX = 1 << 20 }; /* a group is a number there, and 65,536 are allowed */

pid_t pmf_process_inner_tid(pid_t pid, pid_t tid)
{
	static const char key[] = "\nNSpid:";
	struct pmf_buf status = PMF_BUF_INIT;
	char path[64], *at, *end;
	long number = 0, one;

	snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)pid, (int)tid);
	if (pmf_file_read(path, STATUS_BYTES_MAX, &status, NULL) == 0 &&
		(at = strstr(pmf_buf_str(&status), key))) {
		/* From our namespace inwards. */
		for (at += sizeof key - 1; one = strtol(at, &end, 10), end != at; at = end) {
			number = one;
			if (*end != '\t')
				break;
		}
	}
	pmf_buf_release(&status);
	return number > 0 && number <= INT32_MAX ? (pid_t)number : 0;
}

bool pmf_process_sees_all(void)
{
	char name[64];
	ssize_t len = readlink("/proc/self/ns/pid", name, sizeof name - 1);

	if (len < 0)
		return true;
	name[len] = '\0';
	return strcmp(name, "pid:[4026531836]") == 0; /* PROC_PID_INIT_INO of linux/proc_ns.h */
}
