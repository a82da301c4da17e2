/* The rooms of the recorder's half. */
#ifndef PMF_PYTHON_PRIV_H
#define PMF_PYTHON_PRIV_H

#include "pmuflame/python.h"

/* The descriptor of @p's memory, which stays its own. */
int pmf_python_process_memory(const struct pmf_python_process *p);

#endif
