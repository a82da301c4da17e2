/* pmuflame/reader.h - what a sandboxed worker does here: read ELF files and debug info for us.
 * Layer: symbol (uses base, process). <pmuflame/symbol.h> and <pmuflame/lines.h> ask it. */
#ifndef PMUFLAME_READER_H
#define PMUFLAME_READER_H

#include "pmuflame/sandbox.h"

/* Answer the questions that come on @fd until its other end is closed: for pmf_sandbox_start. */
pmf_sandbox_work pmf_reader_serve;

#endif
