/* pmuflame/json.h - text from outside for jansson.
 * Layer: base. Threads: pure functions. */
#ifndef PMUFLAME_JSON_H
#define PMUFLAME_JSON_H

#include <jansson.h>

/* @s as a JSON string; where it is not UTF-8, with '?' for every byte that is not ASCII. */
json_t *pmf_json_of_text(const char *s);

#endif
