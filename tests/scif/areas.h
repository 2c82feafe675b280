/* The files of cases. */
#ifndef SCIFTEST_AREAS_H
#define SCIFTEST_AREAS_H

#include "frame.h"

extern const struct sciftest_area args_area, endpoint_area, connect_area, accept_area, close_area, node_area,
    send_area, block_area, poll_area, raw_poll_area, fork_area, register_area, unregister_area, pages_area,
    fork_memory_area, mmap_area, mmap_life_area, mmap_shared_area, rma_area, rma_errors_area, rma_time_area,
    fence_area, clients_area, ext_area, files_area;

#endif
