/* What system(3), popen(3) and pclose(3) promise, checked. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, TURNS = 10 };

#define CHECK(that) \
	do { \
		if (!(that)) { \
			fprintf(stderr, "line %d: not so: %s\n", __LINE__, #that); \
			exit(1); \
		} \
	} while (0)

static void *many_turns(void *arg)
{
	for (int i = 0; i < TURNS; i++)
		CHECK(WEXITSTATUS(system("exit 5")) == 5);
	return arg;
}

static void check_system(void)
{
	pthread_t threads[THREADS];
	struct sigaction action;
	sigset_t mask;

	CHECK(system(NULL) != 0);
	CHECK(WEXITSTATUS(system("exit 3")) == 3);
	CHECK(WTERMSIG(system("kill -TERM $$")) == SIGTERM);
	CHECK(WEXITSTATUS(system("/no/such/program 2>/dev/null")) == 127);
	/* Ignored here meanwhile, not there. */
	CHECK(WEXITSTATUS(system("kill -INT $PPID; kill -QUIT $PPID; exit 0")) == 0);
	CHECK(WTERMSIG(system("kill -INT $$")) == SIGINT);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, many_turns, NULL) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	CHECK(sigaction(SIGQUIT, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && !sigismember(&mask, SIGCHLD));
}

static void check_popen(void)
{
	char line[64];
	FILE *in = popen("echo one; echo $0; exit 6", "r"), *out = popen("read x; exit $x", "we");

	CHECK(in && !(fcntl(fileno(in), F_GETFD) & FD_CLOEXEC));
	CHECK(out && (fcntl(fileno(out), F_GETFD) & FD_CLOEXEC));
	CHECK(fgets(line, sizeof line, in) && strcmp(line, "one\n") == 0);
	CHECK(fgets(line, sizeof line, in) && strcmp(line, "sh\n") == 0);
	CHECK(!fgets(line, sizeof line, in) && WEXITSTATUS(pclose(in)) == 6);
	CHECK(fputs("7\n", out) >= 0 && WEXITSTATUS(pclose(out)) == 7);
	errno = 0;
	in = popen("true", "x");
	CHECK(!in && errno == EINVAL);
	/* The second shell does not hold the first one's end open, or that would not end. */
	out = popen("cat >/dev/null", "w");
	in = popen("echo $$; exec sleep 60", "r");
	CHECK(out && in && fgets(line, sizeof line, in) && pclose(out) == 0);
	CHECK(kill((pid_t)strtol(line, NULL, 10), SIGTERM) == 0 && WTERMSIG(pclose(in)) == SIGTERM);
}

int main(int argc, char **argv)
{
	FILE *in;
	int c;

	/* A shell ignores them in what it runs in the background. */
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	check_system();
	check_popen();
	if (argc != 2)
		return 0;
	CHECK(system(argv[1]) == 0);
	in = popen(argv[1], "r");
	CHECK(in);
	while ((c = getc(in)) != EOF)
		putchar(c);
	return pclose(in);
}
