/* pmuflame/hotspot.h - the generated code of a running Java VM, read out of its memory: HotSpot exports
 * tables of its own structures for debuggers (gHotSpotVMStructs in libjvm.so; OpenJDK's
 * src/hotspot/share/runtime/vmStructs.cpp). So a VM that was started without any switch has names for what it
 * compiled and what it interprets, and compiled code without frame pointers can be left.
 * Layer: process. Threads: one owner. x86-64 only. What is read is the memory of somebody else: every number
 * in it is checked, every loop bounded. */
#ifndef PMUFLAME_HOTSPOT_H
#define PMUFLAME_HOTSPOT_H

#include "pmuflame/buf.h"
#include "pmuflame/process.h"
#include <stdbool.h>
#include <stdint.h>

struct pmf_hotspot;

/* The Java VM of @p, which runs on this machine; NULL if it has none, or not yet. It is @p's. @now_ns is any
 * clock that goes on: asking costs nothing until there is reason to try again. */
struct pmf_hotspot *pmf_hotspot_of(struct pmf_process *p, uint64_t now_ns);
void pmf_hotspot_free(struct pmf_hotspot *h);

enum pmf_hotspot_kind {
	PMF_HOTSPOT_METHOD,      /* compiled, or a wrapper of a native method */
	PMF_HOTSPOT_INTERPRETER, /* frames by frame pointer, which tell their method */
	PMF_HOTSPOT_ADAPTER,     /* pieces between callers and methods, without a frame */
	PMF_HOTSPOT_STUB,        /* of the runtime: with a frame pointer, if without a size */
};

/* A piece of generated code. */
struct pmf_hotspot_code {
	uint64_t start;
	uint64_t method;       /* a Method* in the process, 0 if it has none */
	uint32_t frame_bytes;  /* from sp to the caller's, with the return address; 0: not known */
	uint32_t frame_offset; /* in the code: the frame is complete from there on */
	enum pmf_hotspot_kind kind;
	uint32_t name; /* for pmf_hotspot_code_name */
};

/* What lies at @va; false if that is no generated code. An answer may be up to 100 ms old. */
bool pmf_hotspot_find(
	struct pmf_hotspot *h, uint64_t va, uint64_t now_ns, struct pmf_hotspot_code *out);
/* What the VM calls it; lives as long as @h. */
const char *pmf_hotspot_code_name(const struct pmf_hotspot *h, const struct pmf_hotspot_code *code);
/* Where an interpreter's frame keeps its Method*, and the caller's stack pointer, from its frame pointer. */
enum { PMF_HOTSPOT_FP_METHOD = -24, PMF_HOTSPOT_FP_SENDER_SP = -8 };
/* Append the name of @method as "Ljava/lang/String;charAt(I)C"; false if it is none. */
bool pmf_hotspot_method_name(struct pmf_hotspot *h, uint64_t method, struct pmf_buf *out);

#endif
