/* Images: which file a mapping shows, whether the path still leads to it, and its bytes.
 *
 * An open image keeps its descriptor, so that the file's inode number cannot be given to another
 * file: path + inode then stays an identity. One that was closed, because nothing mapped it, is held
 * to its build id when it comes back, or to its inode where the kernel tells no build ids. */
#include "process_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/unpack.h"
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	MAX_VDSO = 1024 * 1024, /* bytes; it is about 8 KiB */
};

static const char deleted[] = " (deleted)"; /* d_path(9) puts it behind an unlinked file's path */

size_t pmf_image_path_len(const char *path)
{
	size_t len = strlen(path), tail = sizeof deleted - 1;

	return len > tail && strcmp(path + len - tail, deleted) == 0 ? len - tail : len;
}

static enum pmf_image_kind kind_of(const char *path)
{
	/* How the kernel names memory that no file of a file system backs, and device nodes, which
	 * must not be opened. */
	static const char *const anon[] = {
		"//anon", "/memfd:", "/SYSV", "/anon_hugepage", "/[aio]", "/dev/"};

	if (pmf_starts_with(path, "[vdso"))
		return PMF_IMAGE_VDSO;
	if (pmf_starts_with(path, "[kernel") || pmf_starts_with(path, "[guest.kernel"))
		return PMF_IMAGE_KERNEL;
	if (path[0] != '/')
		return PMF_IMAGE_ANON;
	if (pmf_starts_with(path, "/dev/shm/"))
		return PMF_IMAGE_FILE;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(anon); i++)
		if (pmf_starts_with(path, anon[i]))
			return PMF_IMAGE_ANON;
	return PMF_IMAGE_FILE;
}

uint64_t pmf_image_hash(const char *path)
{
	return pmf_hash_bytes(path, strlen(path));
}

static bool image_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_process_table *t = ctx;
	const struct pmf_image *im = t->images[value];
	const struct pmf_image_want *w = key;

	if (im->kind != w->kind || strcmp(im->path, w->path) != 0)
		return false;
	if (im->kind != PMF_IMAGE_FILE)
		return true;
	if (im->tree && im->tree != w->tree)
		return false;
	if (w->build_id_len && im->build_id_len)
		return w->build_id_len == im->build_id_len &&
		       memcmp(w->build_id, im->build_id, w->build_id_len) == 0;
	if (w->ino && im->ino)
		return w->ino == im->ino &&
		       (w->dev == im->dev || (!w->exactly && (!w->dev || !im->dev)));
	return !w->ino && !w->build_id_len;
}

/* Take what is asked of every open image from its headers; false if it is no ELF program. */
static bool read_headers(struct pmf_image *im)
{
	size_t cap = 0;

	/* Plain reads, not mmap: a file that shrinks must not raise SIGBUS here. */
	im->elf = pmf_elf_open(im->fd, im->vdso, im->file_bytes);
	if (!im->elf)
		return false;
	im->elf_machine = im->elf->machine;
	im->elf32 = im->elf->elf32;
	for (size_t i = 0; i < im->elf->nr_segments; i++) {
		const struct pmf_elf_segment *s = &im->elf->segments[i];

		/* Ranges that wrap would defeat every later comparison; the kernel refuses them. */
		if (s->type != PT_LOAD || s->off + s->filesz < s->off || s->va + s->memsz < s->va ||
			s->filesz > s->memsz)
			continue;
		PMF_PUSH(im->segments, im->nr_segments, cap) = (struct pmf_segment){
			.off = s->off,
			.va = s->va,
			.filesz = s->filesz,
			.memsz = s->memsz,
			.flags = s->flags,
		};
	}
	return true;
}

/* Forget what an attempt to open left behind. */
static void forget_file(struct pmf_image *im)
{
	pmf_elf_close(im->elf);
	im->elf = NULL;
	if (im->fd >= 0)
		close(im->fd);
	im->fd = -1;
	free(im->segments);
	im->segments = NULL;
	im->nr_segments = 0;
	im->file_bytes = 0;
	im->elf_machine = 0;
	im->elf32 = false;
}

/* Is what @im has open the file that @w means? The device is not compared where the path says as much: on
 * overlayfs and btrfs stat(2) reports another one than the mapping does. */
static bool is_wanted(
	const struct pmf_image *im, const struct pmf_image_want *w, const struct stat *st)
{
	uint8_t id[20];
	size_t len;

	if (w->build_id_len) {
		len = im->elf ? pmf_elf_build_id(im->elf, id) : 0;
		return pmf_build_ids_equal(id, len, w->build_id, w->build_id_len);
	}
	if (w->exactly)
		return w->ino && w->ino == st->st_ino && w->dev == st->st_dev;
	return !w->ino || w->ino == st->st_ino;
}

enum pmf_image_attempt pmf_image_try(struct pmf_process_table *t, struct pmf_image *im,
	const struct pmf_image_want *w, const char *path)
{
	struct stat st;
	bool elf_ok;

	im->fd = pmf_file_open_regular(path, &st);
	if (im->fd < 0)
		return errno == EINVAL ? PMF_IMAGE_OTHER_FILE : PMF_IMAGE_FAILED;
	im->file_bytes = (uint64_t)st.st_size;
	elf_ok = read_headers(im);
	if (im->elf)
		pmf_elf_limit(im->elf, (uint64_t)st.st_blocks);
	if (!is_wanted(im, w, &st)) {
		forget_file(im);
		return PMF_IMAGE_OTHER_FILE;
	}
	if (!elf_ok) {
		forget_file(im);
		return PMF_IMAGE_NOT_ELF;
	}
	im->file = pmf_strtab_get(&t->strings, pmf_strtab_addz(&t->strings, path));
	if (!im->ino)
		im->ino = st.st_ino;
	if (!im->build_id_len)
		im->build_id_len = (uint8_t)pmf_elf_build_id(im->elf, im->build_id);
	return PMF_IMAGE_OPENED;
}

static void open_file(
	struct pmf_process_table *t, struct pmf_image *im, const struct pmf_image_want *w)
{
	enum pmf_image_attempt how;
	int why;

	im->root = NULL;
	how = t->search ? pmf_image_try_recorded(t, im, w) : pmf_image_try_live(t, im, w);
	why = errno;
	im->closed = false;
	t->nr_opened += how == PMF_IMAGE_OPENED;
	if (how == PMF_IMAGE_OPENED)
		return;
	if (how == PMF_IMAGE_NOT_ELF) {
		snprintf(im->why, sizeof im->why, "the file is not an ELF program or library");
	} else if (how == PMF_IMAGE_OTHER_FILE) {
		t->images_replaced++;
		snprintf(im->why, sizeof im->why, "another %s stands at this path now than %s",
			t->search ? "build" : "file",
			t->search ? "was recorded" : "the one that was mapped");
	} else if (why == EMFILE || why == ENFILE) {
		t->images_unreadable++;
		snprintf(im->why, sizeof im->why,
			"too many files are open: raise the limit with ulimit -n");
	} else {
		t->images_unreadable++;
		snprintf(im->why, sizeof im->why, "the file cannot be opened: %s", strerror(why));
	}
}

/* The size of the vDSO at @p, from its headers; 0 if they are not what the kernel makes. */
static size_t vdso_bytes(const uint8_t *p)
{
	const Elf64_Ehdr *eh = (const void *)p;
	uint64_t end;

	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
		eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phoff > MAX_VDSO)
		return 0;
	end = eh->e_shoff + (uint64_t)eh->e_shnum * eh->e_shentsize;
	for (size_t i = 0; i < eh->e_phnum; i++) {
		const Elf64_Phdr *ph = (const Elf64_Phdr *)(const void *)(p + eh->e_phoff) + i;

		if (ph->p_type == PT_LOAD && ph->p_filesz <= MAX_VDSO && ph->p_offset <= MAX_VDSO)
			end = PMF_MAX(end, ph->p_offset + ph->p_filesz);
	}
	return end <= MAX_VDSO ? end : 0;
}

/* This process's own, where that is the kernel's whose vDSO was mapped. */
static bool own_vdso(
	struct pmf_process_table *t, struct pmf_image *im, const struct pmf_image_want *w)
{
	const uint8_t *own = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
	size_t size = own ? vdso_bytes(own) : 0, len;
	uint8_t id[20];

	if (!size)
		return false;
	im->vdso = pmf_malloc(size);
	memcpy(im->vdso, own, size);
	im->file_bytes = size;
	len = read_headers(im) ? pmf_elf_build_id(im->elf, id) : 0;
	if (w->build_id_len ? pmf_build_ids_equal(id, len, w->build_id, w->build_id_len)
			    : t->live || (t->search && t->search->this_kernel)) {
		memcpy(im->build_id, id, len);
		im->build_id_len = (uint8_t)len;
		return true;
	}
	forget_file(im);
	free(im->vdso);
	im->vdso = NULL;
	return false;
}

struct pmf_image *pmf_image_of_file(int fd, uint64_t bytes)
{
	struct pmf_image *im = pmf_zalloc(sizeof *im);

	im->fd = fd;
	im->file_bytes = bytes;
	if (read_headers(im)) {
		im->build_id_len = (uint8_t)pmf_elf_build_id(im->elf, im->build_id);
		return im;
	}
	pmf_image_of_file_free(im);
	return NULL;
}

void pmf_image_of_file_free(struct pmf_image *im)
{
	if (im)
		pmf_image_free(im);
}

static const char narrow_vdso[] = "[vdso32]";

/* That of 32-bit programs is another, of which only they have a copy. */
static bool their_vdso(
	struct pmf_process_table *t, struct pmf_image *im, const struct pmf_image_want *w)
{
	size_t size = (size_t)(w->end - w->start);
	struct iovec local = {NULL, size}, remote = {(void *)(uintptr_t)w->start, size};

	if (!t->live || w->pid <= 0 || size == 0 || size > MAX_VDSO)
		return false;
	im->vdso = local.iov_base = pmf_malloc(size);
	if (process_vm_readv(w->pid, &local, 1, &remote, 1, 0) == (ssize_t)size) {
		im->file_bytes = size;
		if (read_headers(im)) {
			im->build_id_len = (uint8_t)pmf_elf_build_id(im->elf, im->build_id);
			return true;
		}
		forget_file(im);
	}
	free(im->vdso);
	im->vdso = NULL;
	return false;
}

static void open_vdso(
	struct pmf_process_table *t, struct pmf_image *im, const struct pmf_image_want *w)
{
	bool narrow = strcmp(w->path, narrow_vdso) == 0;

	if ((narrow ? their_vdso(t, im, w) : own_vdso(t, im, w)) ||
		(t->search && pmf_image_try_recorded(t, im, w) == PMF_IMAGE_OPENED))
		return;
	snprintf(im->why, sizeof im->why, "%s",
		t->live && narrow ? "the process that had it was gone before it could be read"
		: getauxval(AT_SYSINFO_EHDR) ? "the recording comes from another kernel"
					     : "this process has no vDSO to read");
}

/* The kernel calls both vDSOs the same. */
static const char *path_of(const char *path, uint64_t end)
{
	bool narrow = strcmp(path, "[vdso]") == 0 && end && end <= (uint64_t)UINT32_MAX + 1;

	return narrow ? narrow_vdso : path;
}

static void find_tree(struct pmf_process_table *t, struct pmf_image_want *w)
{
	w->root = pmf_root_of(t, w->pid);
	w->tree = pmf_root_tree(w->root, w->pid);
}

/* The number of what @w means, UINT32_MAX if it is new; @w learns what had to be found out for that. */
static uint32_t find_known(
	struct pmf_process_table *t, struct pmf_image_want *w, uint64_t hash, uint8_t known_id[20])
{
	bool told = w->build_id_len, live = t->live && w->kind == PMF_IMAGE_FILE;
	uint32_t id;

	if (!told && live)
		find_tree(t, w);
	w->exactly = w->root;
	id = pmf_index_find(&t->image_index, hash, image_eq, t, w);
	w->exactly = false;
	if (id != UINT32_MAX || !live)
		return id;
	/* None that counts for all. */
	if (told)
		find_tree(t, w);
	if (told ? w->tree != 0 : w->root && pmf_image_own_id(t, w, known_id))
		id = pmf_index_find(&t->image_index, hash, image_eq, t, w);
	return id;
}

struct pmf_image *pmf_image_get(struct pmf_process_table *t, const char *mapped, uint64_t dev,
	uint64_t ino, const uint8_t *build_id, size_t build_id_len, pid_t pid, uint64_t start,
	uint64_t end)
{
	const char *path = path_of(mapped, end), *base;
	struct pmf_image_want w = {path, kind_of(path), dev, ino, build_id, build_id_len, pid,
		start, end, NULL, 0, false};
	uint64_t hash = pmf_image_hash(path);
	struct pmf_image *im;
	uint8_t known_id[20];
	uint32_t id;

	if (!build_id || build_id_len > sizeof im->build_id)
		w.build_id_len = 0;
	if (!w.build_id_len && t->search && t->search->build_id) {
		w.build_id_len = t->search->build_id(t->search->ctx, path, known_id);
		w.build_id = known_id;
	}
	id = find_known(t, &w, hash, known_id);
	if (id != UINT32_MAX) {
		im = t->images[id];
		im->last_get = ++t->nr_gets;
		/* Another process may still have it. */
		if (im->kind == PMF_IMAGE_VDSO && !im->elf && t->live && pid > 0) {
			pmf_image_close(im);
			im->why[0] = '\0';
			open_vdso(t, im, &w);
			im->closed = false;
		}
		if (im->closed) {
			w.ino = im->ino;
			w.build_id = im->build_id;
			w.build_id_len = im->build_id_len;
			open_file(t, im, &w);
		}
		return im;
	}

	im = pmf_zalloc(sizeof *im);
	im->id = (uint32_t)t->nr_images;
	im->kind = w.kind;
	im->fd = -1;
	im->path = pmf_strtab_get(&t->strings, pmf_strtab_addz(&t->strings, path));
	base = path[0] == '/' ? strrchr(path, '/') + 1 : path;
	im->name = pmf_strtab_get(
		&t->strings, pmf_strtab_add(&t->strings, base,
				     pmf_image_path_len(path) - (size_t)(base - path)));
	im->dev = dev;
	im->ino = ino;
	im->tree = w.tree;
	im->last_get = ++t->nr_gets;
	if (w.build_id_len)
		memcpy(im->build_id, w.build_id, w.build_id_len);
	im->build_id_len = (uint8_t)w.build_id_len;
	im->told_build_id = w.build_id_len > 0;
	im->unpacker = t->unpacker.unpack ? &t->unpacker : NULL;
	if (im->kind == PMF_IMAGE_FILE)
		open_file(t, im, &w);
	else if (im->kind == PMF_IMAGE_VDSO)
		open_vdso(t, im, &w);
	PMF_PUSH(t->images, t->nr_images, t->cap_images) = im;
	pmf_index_add(&t->image_index, hash, im->id);
	return im;
}

struct pmf_image *pmf_image_like(const struct pmf_process_table *t, const struct pmf_image *im)
{
	struct pmf_image_want w = {.path = im->path,
		.kind = im->kind,
		.dev = im->dev,
		.ino = im->ino,
		.build_id = im->build_id,
		.build_id_len = im->build_id_len,
		.tree = im->tree};
	uint64_t hash = pmf_image_hash(im->path);

	return pmf_image_by_id(t, pmf_index_find(&t->image_index, hash, image_eq, t, &w));
}

struct pmf_image *pmf_image_kernel(struct pmf_process_table *t)
{
	return pmf_image_get(t, "[kernel]", 0, 0, NULL, 0, -1, 0, 0);
}

struct pmf_image *pmf_image_by_id(const struct pmf_process_table *t, uint32_t id)
{
	return id < t->nr_images ? t->images[id] : NULL;
}

static bool read_at(const struct pmf_image *im, uint64_t off, uint8_t *out, size_t len)
{
	if (im->vdso) {
		if (off > im->file_bytes || len > im->file_bytes - off)
			return false;
		memcpy(out, im->vdso + off, len);
		return true;
	}
	return pmf_file_pread(im->fd, off, out, len);
}

bool pmf_image_read(const struct pmf_image *im, uint64_t rva, void *out, size_t len)
{
	for (size_t i = 0; i < im->nr_segments; i++) {
		const struct pmf_segment *s = &im->segments[i];
		uint64_t skip = rva - s->va;

		if (rva >= s->va && skip < s->filesz)
			return len <= s->filesz - skip && read_at(im, s->off + skip, out, len);
	}
	return false;
}

/* Replace a compressed section's bytes by what they stand for. */
static bool unpack_section(const struct pmf_image *im, struct pmf_elf_section *s)
{
	struct pmf_packed p = {0};
	uint8_t *out = NULL;
	size_t size = 0;
	bool ok;

	if (im->unpacker) {
		ok = im->unpacker->unpack(im->unpacker->ctx, im, s->name, &out, &size);
	} else {
		ok = s->bytes && pmf_packed_take(&p, s->bytes, s->nr_bytes, im->elf32, false) &&
		     p.size <= PMF_ELF_HELD_MAX;
		size = p.size;
		out = ok ? pmf_malloc(size) : NULL;
		ok = ok && pmf_packed_unpack(&p, out);
	}
	ok = ok && pmf_elf_hold(im->elf, size);
	free(s->bytes);
	s->bytes = ok ? out : NULL;
	s->nr_bytes = size;
	s->flags &= ~(uint64_t)SHF_COMPRESSED;
	if (!ok)
		free(out);
	return ok;
}

const uint8_t *pmf_image_section(
	const struct pmf_image *im, const char *name, size_t *size, uint64_t *addr)
{
	struct pmf_elf_section *s = im->elf ? pmf_elf_find(im->elf, name) : NULL;
	bool packed = s && s->flags & SHF_COMPRESSED;

	if (!s)
		return NULL;
	if (!packed || !im->unpacker)
		pmf_elf_section_bytes(im->elf, s);
	s->tried = true;
	if ((packed && !unpack_section(im, s)) || !s->bytes)
		return NULL;
	*size = s->nr_bytes;
	if (addr)
		*addr = s->addr;
	return s->bytes;
}

void pmf_image_close(struct pmf_image *im)
{
	if (im->unwind_free)
		im->unwind_free(im->unwind_priv);
	im->unwind_free = NULL;
	im->unwind_priv = NULL;
	forget_file(im);
	im->closed = true;
}

void pmf_image_free(struct pmf_image *im)
{
	pmf_image_close(im);
	free(im->vdso);
	free(im);
}
