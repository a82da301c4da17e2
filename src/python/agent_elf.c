/* What an executable says of itself. Formats: elf(5); execve(2), "Interpreter scripts". */
#include "agent_elf.h"

#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MAX_SCRIPTS = 4, /* as the kernel */
	MAX_PHDRS = 64,
	MAX_DYNAMIC = 256,
	CHUNK = 4096,
	STRINGS_MAX = 4 << 20,
	PATH_BYTES = 256,
};

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#elif defined(__riscv)
#define OWN_MACHINE EM_RISCV
#else
#define OWN_MACHINE EM_NONE
#endif

/* Sanitizers whose runtime must be the first library, or that watch the calls that the agent takes:
 * by their library or, linked in statically, by their entry. */
static const char *const sanitizers[] = {"libasan.so", "libtsan.so", "liblsan.so", "libhwasan.so",
	"__asan_init", "__tsan_init", "__msan_init", "__hwasan_init"};

static bool read_at(int fd, void *to, size_t len, uint64_t off)
{
	return off <= INT64_MAX && pread(fd, to, len, (off_t)off) == (ssize_t)len;
}

struct program {
	int fd;
	Elf64_Phdr phdrs[MAX_PHDRS];
	size_t n;
};

static const Elf64_Phdr *find_phdr(const struct program *p, uint32_t type)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->phdrs[i].p_type == type)
			return &p->phdrs[i];
	return NULL;
}

/* Where in the file address @va is loaded from; UINT64_MAX if it is not. */
static uint64_t file_offset(const struct program *p, uint64_t va)
{
	for (size_t i = 0; i < p->n; i++) {
		const Elf64_Phdr *ph = &p->phdrs[i];

		if (ph->p_type == PT_LOAD && va >= ph->p_vaddr && va - ph->p_vaddr < ph->p_filesz)
			return ph->p_offset + (va - ph->p_vaddr);
	}
	return UINT64_MAX;
}

/* Does the loader have glibc's name? musl's is ld-musl-ARCH.so.1. */
static bool glibc_loads(const struct program *p)
{
	const Elf64_Phdr *ph = find_phdr(p, PT_INTERP);
	char path[PATH_BYTES];
	const char *slash;

	if (!ph || ph->p_filesz < 2 || ph->p_filesz > sizeof path ||
		!read_at(p->fd, path, ph->p_filesz, ph->p_offset) || path[ph->p_filesz - 1] != '\0')
		return false;
	slash = strrchr(path, '/');
	return strncmp(slash ? slash + 1 : path, "ld-linux", 8) == 0;
}

static bool has_sanitizer(const struct program *p, uint64_t off, uint64_t len)
{
	enum { LONGEST = 16 };
	char chunk[CHUNK + LONGEST];
	size_t kept = 0;

	if (off == UINT64_MAX || len > STRINGS_MAX)
		return true; /* not known: leave it alone */
	while (len > 0) {
		size_t n = len < CHUNK ? len : CHUNK;

		if (!read_at(p->fd, chunk + kept, n, off))
			return true;
		for (size_t i = 0; i < sizeof sanitizers / sizeof sanitizers[0]; i++)
			if (memmem(chunk, kept + n, sanitizers[i], strlen(sanitizers[i])))
				return true;
		off += n;
		len -= n;
		n += kept;
		kept = n < LONGEST ? n : LONGEST;
		memmove(chunk, chunk + n - kept, kept);
	}
	return false;
}

static bool is_sanitized(const struct program *p)
{
	const Elf64_Phdr *ph = find_phdr(p, PT_DYNAMIC);
	uint64_t strings = 0, bytes = 0;

	if (!ph)
		return true;
	for (size_t i = 0; i < MAX_DYNAMIC && (i + 1) * sizeof(Elf64_Dyn) <= ph->p_filesz; i++) {
		Elf64_Dyn d;

		if (!read_at(p->fd, &d, sizeof d, ph->p_offset + i * sizeof d))
			return true;
		if (d.d_tag == DT_STRTAB)
			strings = d.d_un.d_ptr;
		else if (d.d_tag == DT_STRSZ)
			bytes = d.d_un.d_val;
		else if (d.d_tag == DT_NULL)
			break;
	}
	return strings && has_sanitizer(p, file_offset(p, strings), bytes);
}

static bool elf_may_preload(int fd, const Elf64_Ehdr *eh)
{
	struct program p = {.fd = fd};

	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB ||
		eh->e_machine != OWN_MACHINE || eh->e_phentsize != sizeof p.phdrs[0] ||
		eh->e_phnum > MAX_PHDRS)
		return false;
	p.n = eh->e_phnum;
	return read_at(fd, p.phdrs, p.n * sizeof p.phdrs[0], eh->e_phoff) && glibc_loads(&p) &&
	       !is_sanitized(&p);
}

/* The interpreter of a script whose first bytes are @line; false if it names none. */
static bool script_interpreter(const char *line, size_t len, char *out)
{
	size_t at = 2, n = 0;

	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	while (at + n < len && !strchr(" \t\n", line[at + n]))
		n++;
	/* A path that fills the buffer may be cut. */
	if (n == 0 || at + n == PATH_BYTES)
		return false;
	memcpy(out, line + at, n);
	out[n] = '\0';
	return true;
}

bool pmf_agent_may_preload(const char *path)
{
	union {
		Elf64_Ehdr elf;
		char text[PATH_BYTES];
	} head;
	char interpreter[PATH_BYTES];
	struct stat st;

	for (int depth = 0; depth < MAX_SCRIPTS; depth++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		ssize_t n;
		bool may = false;

		if (fd < 0)
			return false;
		if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
			(st.st_mode & (S_ISUID | S_ISGID)))
			n = -1;
		else
			n = pread(fd, &head, sizeof head, 0);
		if (n >= (ssize_t)sizeof head.elf && memcmp(head.elf.e_ident, ELFMAG, SELFMAG) == 0)
			may = elf_may_preload(fd, &head.elf);
		close(fd);
		if (n < 3 || head.text[0] != '#' || head.text[1] != '!')
			return may;
		if (!script_interpreter(head.text, (size_t)n, interpreter))
			return false;
		path = interpreter;
	}
	return false;
}
