/* Where weft run lets CMD run: the CPUs that the option run_bind gives to its node. */
#include "base/option.h"
#include "cli/run.h"

#include <hwloc.h>
#include <hwloc/glibc-sched.h>
#include <stdio.h>
#include <string.h>

WEFT_OPTIONS(run, "run",
             {.name = "run_bind",
              .type = WEFT_OPTION_ENUM,
              .value = "none",
              .choices = "none|core|numa",
              .help = "Where weft run binds CMD: nowhere, to one core, or to the cores of one NUMA node; "
                      "node K of the cluster "
                      "takes the K-th, from the first again when there are no more."})

bool run_bind_cpus(long node, cpu_set_t *out) {
    const char *bind = weft_option_string("run_bind");
    if (!bind || strcmp(bind, "none") == 0) return false;
    hwloc_obj_type_t type = strcmp(bind, "core") == 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_NUMANODE;
    hwloc_topology_t t;
    bool bound = false;
    if (hwloc_topology_init(&t)) return false;
    if (hwloc_topology_load(t) == 0) {
        int count = hwloc_get_nbobjs_by_type(t, type);
        hwloc_obj_t o =
            count > 0 ? hwloc_get_obj_by_type(t, type, (unsigned)((node < 0 ? 0 : node) % count)) : NULL;
        bound = o && !hwloc_bitmap_iszero(o->cpuset) &&
                hwloc_cpuset_to_glibc_sched_affinity(t, o->cpuset, out, sizeof *out) == 0;
    }
    hwloc_topology_destroy(t);
    if (!bound)
        fprintf(stderr,
                "weft: run_bind = %s: this machine's topology does not tell where; CMD is not bound\n", bind);
    return bound;
}
