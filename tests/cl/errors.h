/* The groups of the error test and the way a check is written. */
#ifndef TESTS_CL_ERRORS_H
#define TESTS_CL_ERRORS_H
#include "cltest.h"

/* Prints and counts one check. */
void expect(const char *name, cl_int got, cl_int want);
/* As expect(); `known` is what a known implementation gives instead: counted as an error only when strict. */
void expect_or(const char *name, cl_int got, cl_int want, cl_int known);
/* A check of errors_risky(): any other code, and a crash, is an error only when strict. */
void expect_risky(const char *name, cl_int got, cl_int want);
/* Either of two codes is right, where a call is wrong in two ways. */
void expect_either(const char *name, cl_int got, cl_int want, cl_int also);
/* A condition beside the codes. */
void expect_true(const char *name, bool holds);

void errors_platform(struct cltest *t);
void errors_context(struct cltest *t);
void errors_queue(struct cltest *t);
void errors_program(struct cltest *t);
void errors_kernel(struct cltest *t);
void errors_range(struct cltest *t);
void errors_buffer(struct cltest *t);
void errors_sub_buffer(struct cltest *t);
void errors_transfer(struct cltest *t);
void errors_rect(struct cltest *t);
void errors_map(struct cltest *t);
void errors_image(struct cltest *t);
void errors_image_command(struct cltest *t);
void errors_event(struct cltest *t);
void errors_query(struct cltest *t);
void errors_null_handle(struct cltest *t);
void errors_after_errors(struct cltest *t);

/* Calls that crash some implementations, such as the use of released handles: each runs in a process of its
 * own. risky_run() is that process: it makes the call and returns an exit status that carries the code. */
void errors_risky(struct cltest *t);
int risky_run(struct cltest *t, const char *name);

#endif
