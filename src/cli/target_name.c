#include "target_name.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How a program names what it runs. Strings of options are lists between blanks. */
struct launcher {
	const char *name; /* matches NAME and NAME followed by a version: python3.11, pytest-3 */
	const char *subcommand; /* must follow: "run" */
	const char *with_value; /* options whose value is the next argument */
	const char *names_next; /* options whose value is the name: "-m", "-jar" */
	const char *gives_up;   /* options after which nothing has a name: "-c CODE" */
	bool runs_command;      /* the rest is a command line of its own */
	bool to_colon;          /* the name ends there: "tests/test_x.py::test_y", "module:app" */
};

static const struct launcher launchers[] = {
	{"env", NULL, " -u --unset -C --chdir -S -a --argv0 ", NULL, NULL, true, false},
	{"nice", NULL, " -n ", NULL, NULL, true, false},
	{"nohup", NULL, "", NULL, NULL, true, false},
	{"poetry", "run", " -C --directory -P --project ", NULL, NULL, true, false},
	{"pipenv", "run", " --python ", NULL, NULL, true, false},
	{"uv", "run",
		" --with --with-editable --with-requirements --python -p --directory --project "
		"--extra --group --only-group --package --env-file --index --default-index "
		"--find-links -f --cache-dir --config-file ",
		" -m --module ", NULL, true, false},
	{"pytest", NULL,
		" -k -m -p -n --numprocesses --dist -c -o -W -r --rootdir --maxfail --tb "
		"--durations --ignore --deselect --basetemp --junitxml --log-level --color ",
		NULL, NULL, false, true},
	{"gunicorn", NULL,
		" -b --bind -w --workers -k --worker-class --threads -t --timeout -c --config "
		"--chdir -p --pid -u --user -g --group -n --name -e --env --log-level --log-file "
		"--access-logfile --error-logfile --max-requests --keep-alive --graceful-timeout ",
		NULL, NULL, false, true},
	{"jupyter", "nbconvert", " --to --output --output-dir --template --config ", NULL, NULL,
		false, false},
	{"jupyter-nbconvert", NULL, " --to --output --output-dir --template --config ", NULL, NULL,
		false, false},
	{"python", NULL, " -W -X ", " -m ", " -c ", false, false},
	{"pypy", NULL, " -W -X ", " -m ", " -c ", false, false},
	{"node", NULL, " -r --require --import --loader ", NULL, " -e --eval -p --print ", false,
		false},
	{"java", NULL, " -cp -classpath --class-path -p --module-path ", " -jar -m --module ", NULL,
		false, false},
	{"ruby", NULL, " -I -r ", NULL, " -e ", false, false},
	{"perl", NULL, " -I -M ", NULL, " -e -E ", false, false},
	{"sh", NULL, " -o -O ", NULL, " -c ", false, false},
	{"bash", NULL, " -o -O --rcfile ", NULL, " -c ", false, false},
	{"dash", NULL, " -o ", NULL, " -c ", false, false},
	{"zsh", NULL, " -o ", NULL, " -c ", false, false},
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static bool in_list(const char *list, const char *word)
{
	char padded[64];

	if (!list || strlen(word) > sizeof padded - 3)
		return false;
	strcpy(padded, " ");
	strcat(padded, word);
	strcat(padded, " ");
	return strstr(list, padded);
}

/* The place of the first argument that is no option, from @i on; 0 if there is none. */
static size_t skip_options(const struct launcher *l, char *const *argv, size_t i)
{
	for (; argv[i] && argv[i][0] == '-'; i++)
		if (in_list(l->with_value, argv[i]) && argv[i + 1])
			i++;
	return argv[i] ? i : 0;
}

static const struct launcher *find_launcher(char *const *argv)
{
	const char *base = base_name(argv[0]);

	for (size_t i = 0; i < PMF_ARRAY_SIZE(launchers); i++) {
		const struct launcher *l = &launchers[i];
		size_t len = strlen(l->name), at;

		if (strncmp(base, l->name, len) != 0 ||
			base[len + strspn(base + len, "-0123456789.")])
			continue;
		at = l->subcommand ? skip_options(l, argv, 1) : 0;
		if (!l->subcommand || (at && strcmp(argv[at], l->subcommand) == 0))
			return l;
	}
	return NULL;
}

/* The place in argv of what @l runs, or 0 if it does not say. */
static size_t find_subject(const struct launcher *l, char *const *argv, bool *named)
{
	size_t i = l->subcommand ? skip_options(l, argv, 1) + 1 : 1;

	for (; argv[i]; i++) {
		bool assignment = strcmp(l->name, "env") == 0 && strchr(argv[i], '=');

		if (in_list(l->gives_up, argv[i]))
			return 0;
		if (in_list(l->names_next, argv[i])) {
			*named = true;
			return argv[i + 1] ? i + 1 : 0;
		}
		if (in_list(l->with_value, argv[i]) && argv[i + 1])
			i++;
		else if (argv[i][0] != '-' && !assignment)
			return i;
	}
	return 0;
}

static char *short_name(const char *path)
{
	static const char *const suffixes[] = {
		".py", ".ipynb", ".js", ".mjs", ".cjs", ".ts", ".jar", ".rb", ".pl", ".sh", ".exe"};
	char *out = pmf_strdup(base_name(path));
	size_t len = strlen(out);

	for (size_t i = 0; i < PMF_ARRAY_SIZE(suffixes); i++) {
		size_t s = strlen(suffixes[i]);

		if (len > s && strcmp(out + len - s, suffixes[i]) == 0) {
			out[len - s] = '\0';
			break;
		}
	}
	return out;
}

char *pmf_target_file_name(const char *name)
{
	enum { LONGEST = 100 }; /* a file's has 255, with the event's and more behind this one */
	size_t len = strnlen(name, LONGEST + 1);
	char *out;

	/* Not within a character of UTF-8. */
	if (len > LONGEST)
		for (len = LONGEST; len > 1 && (name[len] & 0xc0) == 0x80;)
			len--;
	out = len ? pmf_strndup(name, len) : pmf_strdup("_");
	for (char *c = out; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-+", *c) && !(*c & 0x80))
			*c = '_';
	if (out[0] == '.' || out[0] == '-')
		out[0] = '_';
	return out;
}

/* What @l runs, as it was told by @subject; NULL for a folder that has no name of its own. */
static char *subject_name(const struct launcher *l, const char *subject)
{
	size_t len = l->to_colon ? strcspn(subject, ":") : strlen(subject);
	char *path, *out = NULL;

	while (len > 1 && subject[len - 1] == '/')
		len--;
	path = pmf_strndup(subject, len);
	if (strcmp(path, ".") != 0 && strcmp(path, "..") != 0)
		out = short_name(path);
	free(path);
	return out;
}

char *pmf_target_name(char *const *argv)
{
	/* Each turn moves on in argv, so this ends. */
	for (;;) {
		const struct launcher *l = find_launcher(argv);
		bool named = false;
		size_t i = l ? find_subject(l, argv, &named) : 0;
		char *name;

		if (i == 0)
			return short_name(argv[0]);
		/* python3 -m pytest tests/test_x.py is pytest, called in another way. */
		if (named ? !find_launcher(argv + i) : !l->runs_command) {
			name = subject_name(l, argv[i]);
			return name ? name : short_name(argv[0]);
		}
		argv += i;
	}
}

char **pmf_target_command_of_pid(pid_t pid)
{
	enum { MOST_BYTES = 1 << 22 }; /* more than arguments may have on Linux */
	char path[64], **argv = NULL;
	struct pmf_buf text = PMF_BUF_INIT;
	size_t n = 0, cap = 0;

	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	if (pmf_file_read(path, MOST_BYTES, &text, NULL) == 0) {
		/* What a program writes over its arguments leaves empty ones at the end. */
		while (text.len && text.data[text.len - 1] == '\0')
			text.len--;
		for (size_t at = 0; at < text.len; at += strlen(text.data + at) + 1)
			PMF_PUSH(argv, n, cap) = pmf_strdup(text.data + at);
		if (argv)
			PMF_PUSH(argv, n, cap) = NULL;
	}
	pmf_buf_release(&text);
	return argv;
}

/* Servers write their state over their command line: "postgres: 15/main: checkpointer". */
static char *name_in_title(const char *title)
{
	const char *colon = strstr(title, ": ");
	char *before = colon ? pmf_strndup(title, (size_t)(colon - title)) : NULL, *name = NULL;

	if (before && before[0])
		name = short_name(before);
	free(before);
	return name;
}

static char *name_by_comm(pid_t pid)
{
	char path[64], comm[64];

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	if (pmf_file_read_line(path, comm, sizeof comm, NULL) == 0 && comm[0])
		return pmf_strdup(comm);
	return pmf_asprintf("pid-%d", (int)pid);
}

char *pmf_target_name_of_pid(pid_t pid)
{
	char **argv = pmf_target_command_of_pid(pid), *name = NULL;
	size_t n = 0;

	while (argv && argv[n])
		n++;
	/* A login shell. */
	if (n && argv[0][0] == '-')
		memmove(argv[0], argv[0] + 1, strlen(argv[0]));
	if (n && argv[0][0]) {
		name = name_in_title(argv[0]);
		if (!name)
			name = pmf_target_name(argv);
	}
	if (!name)
		name = name_by_comm(pid);
	pmf_free_strings(argv, n);
	return name;
}
