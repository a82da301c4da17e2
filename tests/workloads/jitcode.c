/* A runtime that generates code and tells profilers of it: two functions, alpha and beta, of which alpha gets
 * three quarters of the CPU time: jitcode dump|map|late|none [NAME], which alpha then has. jitcode cfi: one, delta,
 * that clears the frame pointer, of which only the jitdump file tells how to leave it. */
#include "workload.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Counts its argument down, in a frame of its own. */
static const uint8_t code[] = {
#if defined(__x86_64__)
	0x55, 0x48, 0x89, 0xe5, 0x48, 0xff, 0xcf, 0x75, 0xfb, 0x5d, 0xc3
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
	0xfd, 0x7b, 0xbf, 0xa9, 0xfd, 0x03, 0x00, 0x91, 0x00, 0x04, 0x00, 0xf1, 0xe1, 0xff, 0xff,
	0x54, 0xfd, 0x7b, 0xc1, 0xa8, 0xc0, 0x03, 0x5f, 0xd6
#define MACHINE EM_AARCH64
#elif defined(__riscv)
	0x41, 0x11, 0x06, 0xe4, 0x22, 0xe0, 0x00, 0x08, 0x7d, 0x15, 0x7d, 0xfd, 0xa2, 0x60, 0x02,
	0x64, 0x41, 0x01, 0x82, 0x80
#define MACHINE EM_RISCV
#endif
};

#if defined(__x86_64__)
/* push %rbp; xor %ebp, %ebp; sub $24, %rsp; 1: dec %rdi; jnz 1b; add $24, %rsp; pop %rbp; ret */
static const uint8_t frameless[] = {0x55, 0x31, 0xed, 0x48, 0x83, 0xec, 0x18, 0x48, 0xff, 0xcf,
	0x75, 0xfb, 0x48, 0x83, 0xc4, 0x18, 0x5d, 0xc3};
/* A CIE; an FDE, as if the code stood in front of the section, with its rows after 1, 7, 16 and 17 bytes; an
 * end. */
static const uint8_t eh_frame[] = {20, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b,
	0x0c, 7, 8, 0x90, 1, 0, 0, 28, 0, 0, 0, 28, 0, 0, 0, 0xa0, 0xff, 0xff, 0xff, 64, 0, 0, 0, 0,
	0x41, 0x0e, 16, 0x86, 2, 0x46, 0x0e, 40, 0x49, 0x0e, 16, 0x41, 0x0e, 8, 0, 0, 0, 0, 0};
#else
static const uint8_t frameless[1], eh_frame[1];
#endif

enum { CODE_BYTES = 64, ROUNDS = 20, ALPHA_LINE = 10, BETA_LINE = 20 };

static FILE *map, *dump;
static void *mark;

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static FILE *open_file(const char *format)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, format, (int)getpid());
	f = fopen(path, "w+e");
	if (!f) {
		perror(path);
		exit(1);
	}
	return f;
}

/* tools/perf/Documentation/jitdump-specification.txt, in the kernel */
struct dump_header {
	uint32_t magic, version, bytes, machine, pad, pid;
	uint64_t time_ns, flags;
};
struct dump_record {
	uint32_t id, bytes;
	uint64_t time_ns;
};
struct dump_load {
	struct dump_record r;
	uint32_t pid, tid;
	uint64_t vma, va, size, index;
};
struct dump_lines {
	struct dump_record r;
	uint64_t va, n, line_va;
	uint32_t line, discriminator;
};

struct dump_unwinding {
	struct dump_record r;
	uint64_t bytes, hdr_bytes, mapped_bytes;
};

static void open_dump(void)
{
	struct dump_header h = {.magic = 0x4a695444,
		.version = 1,
		.bytes = sizeof h,
		.machine = MACHINE,
		.pid = (uint32_t)getpid(),
		.time_ns = now_ns(CLOCK_MONOTONIC)};

	dump = open_file("jit-%d.dump");
	fwrite(&h, sizeof h, 1, dump);
	fflush(dump);
	/* So that profilers see where it is. */
	mark = mmap(NULL, sizeof h, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(dump), 0);
	if (mark == MAP_FAILED)
		exit(1);
}

static void tell_dump(uint64_t va, const char *name, uint32_t line)
{
	static const char file[] = "/src/greek.c";
	struct dump_lines l = {
		{2, sizeof l + sizeof file, now_ns(CLOCK_MONOTONIC)}, va, 1, va, line, 0};
	struct dump_load d = {
		{0, (uint32_t)(sizeof d + strlen(name) + 1 + CODE_BYTES), l.r.time_ns},
		(uint32_t)getpid(), (uint32_t)getpid(), va, va, CODE_BYTES, 0};

	fwrite(&l, sizeof l, 1, dump);
	fwrite(file, sizeof file, 1, dump);
	fwrite(&d, sizeof d, 1, dump);
	fwrite(name, strlen(name) + 1, 1, dump);
	fwrite((const void *)(uintptr_t)va, CODE_BYTES, 1, dump);
	fflush(dump);
}

/* Of the code that is told of next. */
static void tell_unwinding(void)
{
	static const uint8_t hdr[20] = {1, 0x1b, 0x03, 0x3b};
	struct dump_unwinding u = {
		{4, sizeof u + sizeof eh_frame + sizeof hdr, now_ns(CLOCK_MONOTONIC)},
		sizeof eh_frame + sizeof hdr, sizeof hdr, 0};

	fwrite(&u, sizeof u, 1, dump);
	fwrite(eh_frame, sizeof eh_frame, 1, dump);
	fwrite(hdr, sizeof hdr, 1, dump);
}

static void tell(void *at, const char *name, uint32_t line, bool late)
{
	uint64_t va = (uintptr_t)at;

	if (dump)
		tell_dump(va, name, line);
	if (map)
		fprintf(map, "%llx %x %s\n", (unsigned long long)va, CODE_BYTES, name);
	if (map && !late)
		fflush(map);
}

static WL_FRAME void burn(void *at, uint64_t ns)
{
	void (*run)(uint64_t) = (void (*)(uint64_t))(uintptr_t)at;

	for (uint64_t end = now_ns(CLOCK_THREAD_CPUTIME_ID) + ns;
		now_ns(CLOCK_THREAD_CPUTIME_ID) < end;)
		run(100000);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "none";
	const char *alpha = argc > 2 ? argv[2] : "alpha";
	bool late = strcmp(mode, "late") == 0;
	int rounds = strcmp(mode, "dump") == 0 ? ROUNDS : 1;
	uint8_t *at = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return 1;
	if (strcmp(mode, "cfi") == 0) {
		memcpy(at, frameless, sizeof frameless);
		open_dump();
		tell_unwinding();
		tell(at, "delta", ALPHA_LINE, false);
		burn(at, 400000000);
		return 0;
	}
	if (rounds > 1)
		open_dump();
	else if (strcmp(mode, "none") != 0)
		map = open_file("/tmp/perf-%d.map");
	/* beta comes to alpha's place, but in a map that is told too late to say when. */
	uint8_t *beta_at = late ? at + CODE_BYTES : at;
	memcpy(at, code, sizeof code);
	memcpy(beta_at, code, sizeof code);
	__builtin___clear_cache((char *)at, (char *)at + 2 * CODE_BYTES);
	for (int i = 0; i < rounds; i++) {
		tell(at, alpha, ALPHA_LINE, late);
		burn(at, 600000000 / (uint64_t)rounds);
		tell(beta_at, "beta", BETA_LINE, late);
		burn(beta_at, 200000000 / (uint64_t)rounds);
	}
	printf("%d\n", (int)getpid());
	return 0;
}
