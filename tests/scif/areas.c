/* The files of cases, in the order in which they run: each one relies only on those before it. */
#include "areas.h"

const struct sciftest_area *const sciftest_areas[] = {
    &node_area,  &endpoint_area, &connect_area,     &accept_area,      &close_area,
    &args_area,  &send_area,     &block_area,       &poll_area,        &raw_poll_area,
    &fork_area,  &register_area, &rma_area,         &rma_errors_area,  &unregister_area,
    &pages_area, &mmap_area,     &mmap_life_area,   &mmap_shared_area, &rma_time_area,
    &fence_area, &clients_area,  &fork_memory_area, &ext_area,         &files_area,
};
const unsigned sciftest_n_areas = sizeof sciftest_areas / sizeof sciftest_areas[0];
