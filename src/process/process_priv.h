/* What the files of src/process share with each other. */
#ifndef PMF_PROCESS_PRIV_H
#define PMF_PROCESS_PRIV_H

#include "pmuflame/process.h"

/* Close and free one image; for pmf_process_table_release. */
void pmf_image_free(struct pmf_image *im);

#endif
