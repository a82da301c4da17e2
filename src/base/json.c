#include "pmuflame/json.h"

#include "pmuflame/mem.h"
#include <stdlib.h>

json_t *pmf_json_of_text(const char *s)
{
	json_t *j = json_string(s);
	char *copy;

	if (j)
		return j;
	copy = pmf_strdup(s);
	for (char *c = copy; *c; c++)
		if (*c & 0x80)
			*c = '?';
	j = json_string(copy);
	free(copy);
	return j;
}
