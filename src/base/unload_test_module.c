/* A module for unload_test: a library with its own copy of base, as a program's plug-in would be. */
#include "base/counter.h"
#include "base/trace.h"

WEFT_COUNTERS(module, {"module_calls", "calls", "Calls of the module."})

__attribute__((visibility("default"))) unsigned long module_call(void);

unsigned long module_call(void) {
    weft_counter_add(&module_counters[0], 1);
    weft_trace(WEFT_TRACE_NONE, 0, 0, 0, 0);
    return weft_counter_read(&module_counters[0]);
}
