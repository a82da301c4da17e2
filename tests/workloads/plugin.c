/* A shared object that `edge dlopen` loads and unloads while it is being profiled. */
#include "plugin.h"

WL_FRAME uint64_t plugin_hot_loop(uint64_t x, uint64_t n)
{
	return wl_spin(x, n);
}
