#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/container.h"
#include "pmuflame/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD "pod5f1c2e1a_8a2b_4f0e_9d3c_1f2e3d4c5b6a"

static void test_cgroups(void **state)
{
	static const struct {
		const char *path;
		enum pmf_container_kind kind;
		const char *id, *name;
	} rows[] = {
		{"/docker/" ID, PMF_CONTAINER_DOCKER, ID, "0123456789ab"},
		{"/system.slice/docker-" ID ".scope", PMF_CONTAINER_DOCKER, ID, "0123456789ab"},
		/* Seen from a cgroup namespace beside it. */
		{"/../docker-" ID ".scope/init", PMF_CONTAINER_DOCKER, ID, "0123456789ab"},
		{"/machine.slice/libpod-" ID ".scope/container", PMF_CONTAINER_PODMAN, ID,
			"0123456789ab"},
		{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
			PMF_CONTAINER_PODMAN, ID, "0123456789ab"},
		{"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-" POD
		 ".slice/cri-containerd-" ID ".scope",
			PMF_CONTAINER_KUBERNETES, ID, "0123456789ab"},
		{"/kubepods/burstable/" POD "/" ID, PMF_CONTAINER_KUBERNETES, ID, "0123456789ab"},
		{"/kubepods.slice/kubepods-" POD ".slice/crio-" ID ".scope",
			PMF_CONTAINER_KUBERNETES, ID, "0123456789ab"},
		{"/default/" ID, PMF_CONTAINER_CONTAINERD, ID, "0123456789ab"},
		{"/lxc.payload.web-1/system.slice/nginx.service", PMF_CONTAINER_LXC, "web-1",
			"web-1"},
		{"/lxc/web-1", PMF_CONTAINER_LXC, "web-1", "web-1"},
		{"/machine.slice/systemd-nspawn@web.service/payload", PMF_CONTAINER_MACHINE, "web",
			"web"},
		{"/machine.slice/machine-web\\x2d1.scope", PMF_CONTAINER_MACHINE, "web-1", "web-1"},
		/* The outer one. */
		{"/lxc.payload.host/docker/" ID, PMF_CONTAINER_LXC, "host", "host"},
	};
	struct pmf_container c;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(rows); i++) {
		char *text = pmf_asprintf("1:name=systemd:/\n0::%s\n", rows[i].path);

		assert_true(pmf_container_of_cgroup(text, &c));
		assert_int_equal(c.kind, rows[i].kind);
		assert_string_equal(c.id, rows[i].id);
		assert_string_equal(c.name, rows[i].name);
		free(text);
	}
}

static void test_no_containers(void **state)
{
	static const char *const texts[] = {"", "0::/\n", "0::/init.scope\n",
		"0::/system.slice/docker.service\n", "0::/system.slice/nginx.service\n",
		"0::/user.slice/user-1000.slice/session-2.scope\n",
		("0::/machine.slice/libpod-conmon-" ID ".scope\n"),
		"0::/system.slice/machine-check.service\n", "0::/system.slice/docker-abc.scope\n",
		"no line of that file", "0:\n", "0::/docker-.scope\n"};
	struct pmf_container c;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(texts); i++)
		assert_false(pmf_container_of_cgroup(texts[i], &c));
}

static void test_names_are_cleaned(void **state)
{
	struct pmf_container c;
	char *text = pmf_asprintf("0::/lxc/x%0200d\n", 7);

	(void)state;
	assert_true(pmf_container_of_cgroup("0::/lxc/a\033[31m b(c)\n", &c));
	assert_string_equal(c.name, "a__31m_b_c_");
	assert_true(pmf_container_of_cgroup(text, &c));
	assert_int_equal(strlen(c.name), PMF_CONTAINER_CHARS);
	free(text);
}

/* ---- Engines ---- */

static char *root;

static int make_root(void **state)
{
	char name[] = "/tmp/pmuflame-container.XXXXXX";

	(void)state;
	root = pmf_strdup(mkdtemp(name));
	return 0;
}

static int remove_root(void **state)
{
	char *cmd = pmf_asprintf("rm -rf '%s'", root);

	(void)state;
	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(root);
	return 0;
}

static void put(const char *folder, const char *file, const char *text)
{
	char *cmd = pmf_asprintf("mkdir -p '%s/%s'", root, folder);
	char *path = pmf_asprintf("%s/%s/%s", root, folder, file);
	FILE *f;

	assert_int_equal(system(cmd), 0);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	free(cmd);
	free(path);
}

static void test_engine_names(void **state)
{
	struct pmf_container c = {.kind = PMF_CONTAINER_DOCKER, .id = ID, .name = "short"};

	(void)state;
	assert_false(pmf_container_engine_name(root, &c));
	assert_string_equal(c.name, "short");
	put("var/lib/docker/containers/" ID, "config.v2.json", "{\"Name\": \"/web-1\", \"ID\": 1}");
	assert_true(pmf_container_engine_name(root, &c));
	assert_string_equal(c.name, "web-1");

	c.kind = PMF_CONTAINER_PODMAN;
	put("var/lib/containers/storage/overlay-containers", "containers.json",
		"[{\"id\": \"other\", \"names\": [\"db\"]}, {\"id\": \"" ID
		"\", \"names\": [\"web-2\", \"alias\"]}]");
	assert_true(pmf_container_engine_name(root, &c));
	assert_string_equal(c.name, "web-2");

	c.kind = PMF_CONTAINER_KUBERNETES;
	put("var/log/containers", "no_logs.log", "");
	put("var/log/containers", "web-5d8f_default-" ID ".log", "");
	assert_false(pmf_container_engine_name(root, &c));
	put("var/log/containers", "web-5d8f_default_nginx-" ID ".log", "");
	assert_true(pmf_container_engine_name(root, &c));
	assert_string_equal(c.name, "web-5d8f/nginx");
}

static void test_broken_files(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "{\"Name\": 7}", "{\"Name\": \"\"}",
		"{\"Name\": \"/\"}", ("[{\"id\": \"" ID "\"}]"), "[7, {\"id\": []}]"};
	struct pmf_container c = {.id = ID, .name = "short"};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(texts); i++) {
		put("var/lib/docker/containers/" ID, "config.v2.json", texts[i]);
		put("var/lib/containers/storage/overlay-containers", "containers.json", texts[i]);
		for (c.kind = PMF_CONTAINER_DOCKER; c.kind <= PMF_CONTAINER_PODMAN; c.kind++) {
			assert_false(pmf_container_engine_name(root, &c));
			assert_string_equal(c.name, "short");
		}
	}
}

static void test_ask(void **state)
{
	struct pmf_containers all = {0};
	const char *name;

	(void)state;
	assert_int_equal(pmf_containers_ask(&all, getpid(), &name), PMF_CONTAINER_SAME);
	assert_int_equal(pmf_containers_ask(&all, 0, &name), PMF_CONTAINER_UNKNOWN);
	pmf_containers_release(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cgroups),
		cmocka_unit_test(test_no_containers),
		cmocka_unit_test(test_names_are_cleaned),
		cmocka_unit_test_setup_teardown(test_engine_names, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_broken_files, make_root, remove_root),
		cmocka_unit_test(test_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
