/* pmuflame check [options] [TARGET|all|COMMAND [ARG...]] */
#include "check.h"
#include "cli.h"
#include "output.h"
#include "target_name.h"

#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEAT_DEFAULT = 5, MAX_REPEAT_DEFAULT = 20 };

static const char help[] =
	"usage: pmuflame check [options] [TARGET|all|COMMAND [ARG...]]\n\n"
	"Run a target of pmuflame.ini several times (without one: all that have a [budget NAME]) and say\n"
	"of each budget whether it is met. A change within the noise of the runs is none.\n\n"
	"  -b, --budget EXPR           one more budget (may be given several times):\n"
	"                                cycles/bar < 12000    bars/s > 100    s < 1.5\n"
	"                                'share(cache-misses, calculate_atr) < 15%'\n"
	"                                'regress(instructions) < 2%'\n"
	"      --from FILE             judge a summary.json, profiles, or a folder of either, and run\n"
	"                              nothing (may be given several times)\n"
	"      --baseline PATH         what regress() compares with: as for --from\n"
	"      --save-baseline         make what is measured the baseline\n"
	"      --repeat N              runs (default 5)\n"
	"      --max-repeat N          runs if fewer leave a verdict open (default 20)\n"
	"  -o, --output DIR            keep profiles and summary.json there\n"
	"      --junit FILE            the verdicts for CI servers\n"
	"      --markdown FILE         the verdicts for reviews\n"
	"  -h, --help\n\n"
	"exit status: 0 all met, 1 one missed, 125 one could not be measured\n";

enum {
	OPT_FROM = 256,
	OPT_BASELINE,
	OPT_SAVE_BASELINE,
	OPT_REPEAT,
	OPT_MAX_REPEAT,
	OPT_JUNIT,
	OPT_MARKDOWN
};

static const struct option long_options[] = {
	{"budget", required_argument, NULL, 'b'},
	{"from", required_argument, NULL, OPT_FROM},
	{"baseline", required_argument, NULL, OPT_BASELINE},
	{"save-baseline", no_argument, NULL, OPT_SAVE_BASELINE},
	{"repeat", required_argument, NULL, OPT_REPEAT},
	{"max-repeat", required_argument, NULL, OPT_MAX_REPEAT},
	{"output", required_argument, NULL, 'o'},
	{"junit", required_argument, NULL, OPT_JUNIT},
	{"markdown", required_argument, NULL, OPT_MARKDOWN},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct baseline {
	const char *path;
	struct pmf_sweep_result result;
	struct pmf_err err; /* why it cannot be read */
};

struct check_args {
	struct pmf_check check;
	struct pmf_budget *budgets; /* of the command line */
	size_t nr_budgets, cap_budgets;
	char **from;
	size_t nr_from, cap_from;
	struct pmf_check_profiles profiles; /* among them */
	const char *baseline, *junit, *markdown;
	char **command;
	struct baseline *baselines;
	size_t nr_baselines, cap_baselines;
};

/* ---- The command line ---- */

static int take_option(void *ctx, int opt, struct pmf_err *err)
{
	struct check_args *a = ctx;

	switch (opt) {
	case 'b':
		return pmf_budget_parse(
			&PMF_PUSH(a->budgets, a->nr_budgets, a->cap_budgets), optarg, err);
	case 'o':
		a->check.folder = optarg;
		return 0;
	case OPT_FROM:
		PMF_PUSH(a->from, a->nr_from, a->cap_from) = optarg;
		return 0;
	case OPT_BASELINE:
		a->baseline = optarg;
		return 0;
	case OPT_SAVE_BASELINE:
		a->check.save_baseline = true;
		return 0;
	case OPT_REPEAT:
		return pmf_cli_repeats(optarg, "--repeat", &a->check.repeat, err);
	case OPT_MAX_REPEAT:
		return pmf_cli_repeats(optarg, "--max-repeat", &a->check.max_repeat, err);
	case OPT_JUNIT:
		a->junit = optarg;
		return 0;
	default:
		a->markdown = optarg;
		return 0;
	}
}

static int parse_args(struct check_args *a, int argc, char **argv, struct pmf_err *err)
{
	int ret;

	a->check.repeat = REPEAT_DEFAULT;
	ret = pmf_cli_options(argc, argv, "+:b:o:h", long_options, help, take_option, a, err);
	a->command = argv + optind;
	if (ret)
		return ret;
	if (!a->check.max_repeat)
		a->check.max_repeat = PMF_MAX(a->check.repeat, (size_t)MAX_REPEAT_DEFAULT);
	if (a->check.max_repeat < a->check.repeat)
		return pmf_err_set(err, PMF_EUSAGE, "--max-repeat is less than --repeat");
	if (a->nr_from && a->check.folder)
		return pmf_err_set(err, PMF_EUSAGE, "--from runs nothing that -o could keep");
	if (a->nr_from && a->command[0] && a->command[1])
		return pmf_err_set(err, PMF_EUSAGE,
			"--from runs nothing: only a target may be named, to judge no other");
	return 0;
}

/* ---- Groups ---- */

static void add_item(struct check_args *a, struct pmf_check_group *g, const struct pmf_budget *b,
	const struct pmf_budget_set *set)
{
	const char *path = a->baseline ? a->baseline : set ? set->baseline : NULL;

	PMF_PUSH(g->items, g->n, g->cap) = (struct pmf_check_item){
		.budget = b, .name = set ? set->name : g->label, .baseline_path = path};
}

/* A group with the budgets of @target (NULL: a command, which has none) and of the command line, if there
 * are any. @label and @command are taken over. */
static void add_group(struct check_args *a, char *label, const char *target, char **command)
{
	struct pmf_check *c = &a->check;
	const struct pmf_config *file = &c->config.file;
	struct pmf_check_group g = {.label = label, .command = command};

	g.target = target ? pmf_config_target(file, target) : NULL;
	for (size_t i = 0; g.target && i < file->nr_budget_sets; i++) {
		const struct pmf_budget_set *set = &file->budget_sets[i];

		for (size_t k = 0; k < set->nr_budgets; k++)
			if (strcmp(set->target, target) == 0)
				add_item(a, &g, &set->budgets[k], set);
	}
	for (size_t i = 0; i < a->nr_budgets; i++)
		add_item(a, &g, &a->budgets[i], NULL);
	if (g.n) {
		PMF_PUSH(c->groups, c->n, c->cap) = g;
	} else {
		free(label);
		free(command);
	}
}

/* @words, and NULL. */
static char **copy_words(char *const *words, size_t n)
{
	char **copy = pmf_calloc(n + 1, sizeof *copy);

	memcpy(copy, words, n * sizeof *copy);
	return copy;
}

/* What is to be run, and a case for each of it. */
static void groups_to_run(struct check_args *a)
{
	struct pmf_check *c = &a->check;
	const struct pmf_config *file = &c->config.file;
	char *word = a->command[0];
	size_t nr_words = 0;

	while (a->command[nr_words])
		nr_words++;
	if (!word || pmf_target_is_all(&c->config, word)) {
		for (size_t i = 0; i < file->nr_targets; i++)
			add_group(a, pmf_strdup(file->targets[i].name), file->targets[i].name,
				copy_words(&file->targets[i].name, 1));
	} else if (!strchr(word, '/') && pmf_config_target(file, word)) {
		add_group(a, pmf_strdup(word), word, copy_words(a->command, nr_words));
	} else {
		add_group(a, pmf_target_name(a->command), NULL, copy_words(a->command, nr_words));
	}
	for (size_t i = 0; i < c->n; i++) {
		const struct pmf_check_group *g = &c->groups[i];
		char *shown =
			pmf_output_shown_command(g->target ? g->target->command : NULL, g->command);

		pmf_sweep_add_case(&c->result, g->label, shown, g->target);
		free(shown);
	}
	for (size_t i = 0; i < c->n; i++)
		c->groups[i].measured = &c->result.cases[i];
}

/* A group for each case that was measured before, if it is of the target that was named. */
static int groups_to_judge(struct check_args *a, struct pmf_err *err)
{
	struct pmf_check *c = &a->check;
	int ret = pmf_check_load(&c->result, &a->profiles, a->from, a->nr_from, err);
	bool named = !a->command[0];

	for (size_t i = 0; i < c->result.nr_cases && ret == 0; i++) {
		struct pmf_sweep_case *measured = &c->result.cases[i];
		struct pmf_buf label = PMF_BUF_INIT;
		size_t before = c->n;

		if (a->command[0] && strcmp(a->command[0], measured->target) != 0)
			continue;
		named = true;
		pmf_buf_addstr(&label, measured->target);
		for (size_t k = 0; k < measured->nr_vary; k++)
			pmf_buf_printf(&label, " %s", measured->vary[k]);
		add_group(a, pmf_buf_detach(&label), measured->target, NULL);
		for (size_t g = before; g < c->n; g++)
			c->groups[g].measured = measured;
		for (size_t k = 0; k < a->profiles.n && before < c->n && ret == 0; k++)
			if (a->profiles.items[k].at == i)
				ret = pmf_check_add_shares(
					&c->groups[before], a->profiles.items[k].path, err);
	}
	if (ret == 0 && !named)
		ret = pmf_err_set(err, PMF_EUSAGE, "'%s' was not measured in what --from names",
			a->command[0]);
	return ret;
}

/* ---- Baselines ---- */

static struct baseline *baseline_of(struct check_args *a, const char *path)
{
	struct baseline *b;

	for (size_t i = 0; i < a->nr_baselines; i++)
		if (strcmp(a->baselines[i].path, path) == 0)
			return &a->baselines[i];
	b = &PMF_PUSH(a->baselines, a->nr_baselines, a->cap_baselines);
	*b = (struct baseline){.path = path};
	pmf_check_load(&b->result, NULL, (char *[]){(char *)path}, 1, &b->err);
	return b;
}

/* Give every regress() what it compares with, or the sentence why there is none. */
static void find_baselines(struct check_args *a)
{
	struct pmf_check *c = &a->check;

	for (size_t g = 0; g < c->n; g++) {
		for (size_t i = 0; i < c->groups[g].n; i++) {
			struct pmf_check_item *item = &c->groups[g].items[i];
			const struct baseline *b;

			if (item->budget->kind != PMF_BUDGET_REGRESS || !item->baseline_path)
				continue;
			b = baseline_of(a, item->baseline_path);
			item->baseline = pmf_check_find(&b->result, c->groups[g].measured);
			/* One thing and one other: that is what is meant, whatever their names. */
			if (!item->baseline && c->n == 1 && b->result.nr_cases == 1)
				item->baseline = &b->result.cases[0];
			if (b->err.status)
				pmf_check_cannot(item, "%s", b->err.text);
			else if (!item->baseline)
				pmf_check_cannot(item, "the baseline '%s' has nothing of '%s'",
					b->path, c->groups[g].label);
		}
	}
}

/* Times, and more, are a machine's own. */
static void warn_about_hosts(const struct check_args *a)
{
	const char *here = a->check.result.host;

	for (size_t i = 0; i < a->nr_baselines; i++) {
		const char *there = a->baselines[i].result.host;

		if (here && there && strcmp(here, there) != 0)
			pmf_warn("warning: the baseline '%s' is of another system, %s; this is %s",
				a->baselines[i].path, there, here);
	}
}

static int save_baselines(struct check_args *a, struct pmf_err *err)
{
	struct pmf_check *c = &a->check;
	const char **paths = NULL;
	size_t n = 0, cap = 0;
	int ret = 0;

	for (size_t g = 0; g < c->n; g++) {
		for (size_t i = 0; i < c->groups[g].n; i++) {
			const char *path = c->groups[g].items[i].baseline_path;
			bool known = !path;

			for (size_t k = 0; k < n; k++)
				known |= path && strcmp(paths[k], path) == 0;
			if (!known)
				PMF_PUSH(paths, n, cap) = path;
		}
	}
	for (size_t k = 0; k < n && ret == 0; k++)
		ret = pmf_check_save_baseline(c, paths[k], err);
	if (n == 0)
		ret = pmf_err_set(err, PMF_EUSAGE,
			"--save-baseline where to? --baseline PATH says it, or 'baseline =' of a budget in "
			"pmuflame.ini");
	free(paths);
	return ret;
}

/* ---- All of it ---- */

static int verdict_status(const struct pmf_check *c)
{
	int status = PMF_EXIT_OK;

	for (size_t g = 0; g < c->n; g++) {
		for (size_t i = 0; i < c->groups[g].n; i++) {
			enum pmf_verdict_kind kind = c->groups[g].items[i].verdict.kind;

			if (kind == PMF_VERDICT_MISSED)
				return PMF_EXIT_NO;
			if (kind == PMF_VERDICT_UNKNOWN)
				status = PMF_EXIT_FAILED;
		}
	}
	return status;
}

/* Measure, or take what was measured, and judge it. */
static int judge(struct check_args *a, int *sig, struct pmf_err *err)
{
	struct pmf_check *c = &a->check;
	int ret = pmf_cli_config_load(&c->config, err);

	if (ret == 0 && a->nr_from)
		ret = groups_to_judge(a, err);
	else if (ret == 0)
		groups_to_run(a);
	if (ret == 0 && c->n == 0)
		ret = pmf_err_set(err, PMF_EUSAGE,
			"there is no budget to check: --budget 'cycles/bar < 12000', or 'expect =' in a "
			"[budget NAME] of pmuflame.ini");
	if (ret)
		return ret;
	if (!c->save_baseline)
		find_baselines(a);
	for (size_t g = 0; g < c->n && a->nr_from; g++)
		pmf_check_judge(c, &c->groups[g]);
	if (!a->nr_from)
		ret = pmf_check_measure(c, sig, err);
	warn_about_hosts(a);
	if (ret == 0 && !*sig && c->save_baseline)
		ret = save_baselines(a, err);
	return ret;
}

static int report(const struct check_args *a, struct pmf_err *err)
{
	int ret;

	pmf_check_print(&a->check);
	ret = pmf_cli_flush(err);
	if (ret == 0 && a->junit)
		ret = pmf_check_write_junit(&a->check, a->junit, err);
	if (ret == 0 && a->markdown)
		ret = pmf_check_write_markdown(&a->check, a->markdown, err);
	return ret;
}

static void release(struct check_args *a)
{
	struct pmf_check *c = &a->check;

	for (size_t g = 0; g < c->n; g++) {
		for (size_t i = 0; i < c->groups[g].n; i++) {
			pmf_verdict_release(&c->groups[g].items[i].verdict);
			free(c->groups[g].items[i].shares);
		}
		free(c->groups[g].items);
		free(c->groups[g].label);
		free(c->groups[g].command);
	}
	free(c->groups);
	pmf_sweep_release(&c->result);
	for (size_t i = 0; i < a->nr_baselines; i++)
		pmf_sweep_release(&a->baselines[i].result);
	free(a->baselines);
	for (size_t i = 0; i < a->nr_budgets; i++)
		pmf_budget_release(&a->budgets[i]);
	free(a->budgets);
	free(a->from);
	pmf_check_profiles_release(&a->profiles);
	pmf_cli_config_release(&c->config);
}

static int cmd_check(int argc, char **argv)
{
	struct check_args a = {0};
	struct pmf_err err = PMF_ERR_INIT;
	int status, sig = 0, ret = parse_args(&a, argc, argv, &err);

	if (ret == 0)
		ret = judge(&a, &sig, &err);
	if (ret == 0 && !sig)
		ret = report(&a, &err);
	if (sig)
		status = 128 + sig;
	else
		status = ret ? pmf_cli_status(ret, &err) : verdict_status(&a.check);
	release(&a);
	if (sig)
		raise(sig);
	return status;
}

const struct pmf_cmd pmf_cmd_check = {
	"check",
	"hold a target to its budgets; the exit status says whether it does",
	cmd_check,
};
