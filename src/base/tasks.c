#include "pmuflame/tasks.h"

#include "pmuflame/file.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

DIR *pmf_tasks_open(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	return opendir(path);
}

pid_t pmf_tasks_next(DIR *tasks)
{
	struct dirent *entry;

	while (tasks && (entry = readdir(tasks))) {
		char *end;
		long n = strtol(entry->d_name, &end, 10);

		if (*end == '\0' && n > 0 && n <= INT32_MAX)
			return (pid_t)n;
	}
	return 0;
}

void pmf_tasks_close(DIR *tasks)
{
	if (tasks)
		closedir(tasks);
}

/* A folder has two links of its own, and one from each folder in it: fs/proc/base.c, proc_task_getattr. */
size_t pmf_tasks_count(pid_t pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	return stat(path, &st) == 0 && st.st_nlink > 2 ? st.st_nlink - 2 : 0;
}

size_t pmf_tasks_children(pid_t pid, pid_t *children, size_t max)
{
	char path[64], line[4096], *at = line;
	size_t n = 0;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
	if (pmf_file_read_line(path, line, sizeof line, NULL))
		return 0;
	/* Each has a space behind it, but one that was cut. */
	while (n < max) {
		char *end;
		long child = strtol(at, &end, 10);

		if (end == at || *end != ' ' || child <= 0 || child > INT32_MAX)
			break;
		children[n++] = (pid_t)child;
		at = end;
	}
	return n;
}
