/* The cases of the function test, one group a file. */
#ifndef TESTS_CL_FUNC_H
#define TESTS_CL_FUNC_H
#include "cltest.h"

/* transfer.c */
void transfer__blocking(struct cltest *t);
void transfer__non_blocking(struct cltest *t);
void transfer__large(struct cltest *t);
void transfer__copy(struct cltest *t);
void transfer__fill(struct cltest *t);
void transfer__rect_2d(struct cltest *t);
void transfer__rect_3d(struct cltest *t);
void transfer__rect_default_pitch(struct cltest *t);
void handover__by_event(struct cltest *t);
void handover__in_one_queue(struct cltest *t);
void handover__by_the_program(struct cltest *t);
void handover__rect(struct cltest *t);
void handover__of_the_same_memory(struct cltest *t);
/* memory.c */
void memory__flags(struct cltest *t);
void memory__use_host_ptr(struct cltest *t);
void memory__map_flags(struct cltest *t);
void memory__map_several(struct cltest *t);
void memory__map_kernel_sees(struct cltest *t);
void memory__sub_buffer(struct cltest *t);
void memory__sub_buffer_after_use(struct cltest *t);
void memory__destructor(struct cltest *t);
void memory__migrate(struct cltest *t);
void memory__across_devices(struct cltest *t);
void memory__across_devices_partial(struct cltest *t);
void memory__across_all_devices(struct cltest *t);
/* image.c */
void image__formats(struct cltest *t);
void image__formats_required(struct cltest *t);
void image__info(struct cltest *t);
void image__boxes(struct cltest *t);
void image__large(struct cltest *t);
void image__copy(struct cltest *t);
void image__copy_with_buffer(struct cltest *t);
void image__fill(struct cltest *t);
/* image_map.c */
void image__map(struct cltest *t);
void image__map_several(struct cltest *t);
void image__copy_host_ptr(struct cltest *t);
void image__use_host_ptr(struct cltest *t);
void image__old_calls(struct cltest *t);
/* image_use.c */
void image__kernel(struct cltest *t);
void image__kernel_types(struct cltest *t);
void sampler__kernel(struct cltest *t);
void sampler__info(struct cltest *t);
void image__across_devices(struct cltest *t);
void image__of_buffer(struct cltest *t);
void image__command_types(struct cltest *t);
void image__one_device(struct cltest *t);
/* image_random.c */
void image__random(struct cltest *t);
void image__threads(struct cltest *t);
/* kernel.c */
void kernel__values(struct cltest *t);
void kernel__struct(struct cltest *t);
void kernel__null_buffer(struct cltest *t);
void kernel__local_and_constant(struct cltest *t);
void kernel__argument_snapshot(struct cltest *t);
void kernel__ranges(struct cltest *t);
void kernel__task(struct cltest *t);
void kernel__many_launches(struct cltest *t);
void kernel__many_unfinished_queues(struct cltest *t);
/* event.c */
void event__wait_list_across_devices(struct cltest *t);
void event__user(struct cltest *t);
void event__user_failed(struct cltest *t);
void event__order_of_ends(struct cltest *t);
void event__callbacks(struct cltest *t);
void event__callback_of_failure(struct cltest *t);
void event__profiling(struct cltest *t);
void event__marker_and_barrier(struct cltest *t);
void event__out_of_order(struct cltest *t);
void event__command_types(struct cltest *t);
void event__blocking_read_with_wait_list(struct cltest *t);
/* program.c */
void program__options(struct cltest *t);
void program__no_argument_info(struct cltest *t);
void program__empty_source(struct cltest *t);
void program__several_strings(struct cltest *t);
void program__info(struct cltest *t);
void program__binary(struct cltest *t);
void program__build_callback(struct cltest *t);
void program__build_log(struct cltest *t);
void program__rebuild_after_failure(struct cltest *t);
/* info.c */
void info__platform(struct cltest *t);
void info__device(struct cltest *t);
void info__context(struct cltest *t);
void info__queue(struct cltest *t);
void info__buffer(struct cltest *t);
void info__kernel(struct cltest *t);
void info__kernel_arguments(struct cltest *t);
void info__event(struct cltest *t);
/* object.c */
void object__counts(struct cltest *t);
void object__context_from_type(struct cltest *t);
void object__release_early(struct cltest *t);
void object__churn(struct cltest *t);
void object__several_contexts(struct cltest *t);
void object__threads(struct cltest *t);
void object__threads_one_queue(struct cltest *t);

#endif
