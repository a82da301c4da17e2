/* Spends its time in BPF programs: two socket filters, one after the other is gone, so that the second
 * may well stand where the first one stood. */
#include "workload.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 20000 }; /* the verifier follows each, and gives up at a million instructions */

/* A filter that counts down and drops the packet. */
static int load_filter(const char *name)
{
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = ROUNDS},
		{.code = BPF_ALU64 | BPF_SUB | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_0, .off = -2},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)code,
		.insn_cnt = sizeof code / sizeof code[0],
		.license = (uintptr_t) "GPL",
	};

	snprintf(attr.prog_name, sizeof attr.prog_name, "%s", name);
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
}

static void filter_packets(const char *name, double seconds)
{
	int prog = load_filter(name), sockets[2];
	double end = wl_thread_cpu() + seconds;

	if (prog < 0)
		wl_die(1, "cannot load a BPF program: %s", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets) != 0 ||
		setsockopt(sockets[1], SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof prog) != 0)
		wl_die(1, "cannot attach a BPF program: %s", strerror(errno));
	while (wl_thread_cpu() < end)
		if (send(sockets[0], "x", 1, 0) != 1)
			wl_die(1, "cannot send: %s", strerror(errno));
	close(sockets[0]);
	close(sockets[1]);
	close(prog);
	usleep(100000); /* the kernel frees it when nobody can run it any more */
}

int main(int argc, char **argv)
{
	double seconds = 1;
	const struct wl_option options[] = {
		{"--seconds", NULL, &seconds, 0, 3600, "of CPU time in both together"},
		{NULL, NULL, NULL, 0, 0, NULL},
	};

	wl_parse(argc, argv, options);
	filter_packets("pmf_first", seconds / 2);
	filter_packets("pmf_second", seconds / 2);
	return 0;
}
