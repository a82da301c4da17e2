/* The one function of plugin.so. */
#ifndef PLUGIN_H
#define PLUGIN_H

#include "workload.h"

uint64_t plugin_hot_loop(uint64_t x, uint64_t n);

#endif
