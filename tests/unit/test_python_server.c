/* Greetings of agents, among those of others. */
#include "pmuflame/python.h"

#include "agent_protocol.h"
#include "pmuflame/mem.h"
#include "python_priv.h"
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { CROWD = 100 };

static struct pmf_python_server *server;
static struct pmf_agent_hello hello;
static struct sockaddr_un address;
static socklen_t address_bytes;

static int setup(void **state)
{
	char *value, *name, *token;

	(void)state;
	assert_int_equal(pmf_python_server_open(&server, "/agent.so", NULL), 0);
	value = pmf_python_server_value(server, NULL, "/agent.so");
	name = strchr(value, ':') + 1;
	token = strchr(name, ':') + 1;
	token[-1] = '\0';
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address.sun_path + 1, name, strlen(name));
	address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	hello = (struct pmf_agent_hello){
		.magic = PMF_AGENT_MAGIC, .version = PMF_AGENT_VERSION, .python = 12};
	memcpy(hello.token, token, PMF_AGENT_TOKEN_CHARS);
	free(value);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_python_server_close(server);
	return 0;
}

static int call(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&address, address_bytes), 0);
	return fd;
}

static void greet(int fd)
{
	assert_int_equal(send(fd, &hello, sizeof hello, MSG_NOSIGNAL), sizeof hello);
}

static bool is_ready(void)
{
	struct pollfd p = {.fd = pmf_python_server_fd(server), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static bool is_closed(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static void assert_greeted(void)
{
	struct pmf_python_greeting g;

	assert_true(pmf_python_accept(server, &g));
	assert_int_equal(g.pid, getpid());
	assert_int_equal(g.minor, 12);
	pmf_python_refuse(&g);
}

/* Nothing is to be done for one who is silent, and he may still speak. */
static void test_late(void **state)
{
	struct pmf_python_greeting g;
	int fd = call();

	(void)state;
	assert_true(is_ready());
	assert_false(pmf_python_accept(server, &g));
	assert_false(is_ready());
	greet(fd);
	assert_true(is_ready());
	assert_greeted();
	assert_false(is_ready());
	assert_true(is_closed(fd));
	close(fd);
}

static void test_crowd(void **state)
{
	struct pmf_python_greeting g;
	int crowd[CROWD], fd;

	(void)state;
	for (size_t i = 0; i < CROWD; i++)
		crowd[i] = call();
	fd = call();
	greet(fd);
	while (!pmf_python_accept(server, &g))
		assert_true(is_ready());
	pmf_python_refuse(&g);
	assert_false(is_ready());
	assert_true(is_closed(crowd[0]));
	close(fd);
	/* Who leaves is not waited for. */
	for (size_t i = 0; i < CROWD; i++)
		close(crowd[i]);
	assert_true(is_ready());
	assert_false(pmf_python_accept(server, &g));
	assert_false(is_ready());
}

static void test_impostors(void **state)
{
	struct pmf_python_greeting g;
	struct pmf_agent_hello good = hello;
	int fds[4];

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(fds); i++)
		fds[i] = call();
	hello.token[PMF_AGENT_TOKEN_CHARS - 1] ^= 1;
	greet(fds[0]);
	hello = good;
	hello.version++;
	greet(fds[1]);
	hello = good;
	assert_int_equal(send(fds[2], &hello, sizeof hello - 1, 0), sizeof hello - 1);
	greet(fds[3]);
	assert_greeted();
	assert_false(pmf_python_accept(server, &g));
	for (size_t i = 0; i < PMF_ARRAY_SIZE(fds); i++) {
		assert_true(is_closed(fds[i]));
		close(fds[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crowd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_impostors, setup, teardown),
	};

	return cmocka_run_group_tests_name("python_server", tests, NULL, NULL);
}
