/* Handles: stale, foreign and made-up ones; references; many threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/front/fake_backend.h"

static void object__stale_handle_is_refused(void **state) {
    cl_int rc;
    cl_context c = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    cl_event e[100];
    for (int i = 0; i < 100; i++) e[i] = weft_clCreateUserEvent(c, &rc);
    for (int i = 0; i < 100; i++) assert_int_equal(weft_clReleaseEvent(e[i]), CL_SUCCESS);
    for (int i = 0; i < 100; i++) {
        cl_event fresh = weft_clCreateUserEvent(c, &rc);
        assert_int_equal(weft_clReleaseEvent(e[i]), CL_INVALID_EVENT); /* its slot is not yet used again */
        assert_int_equal(weft_clReleaseEvent(fresh), CL_SUCCESS);
    }
    weft_clReleaseContext(c);
}

static void object__other_kinds_and_made_up_addresses_are_refused(void **state) {
    cl_int rc;
    int local = 0;
    cl_context c = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    const void *wrong[] = {NULL,           (void *)8,     (void *)-8,      &local,
                           (char *)c + 16, (char *)c + 1, fake_devices[0], (void *)(UINT64_C(1) << 62)};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(weft_clRetainContext((cl_context)wrong[i]), CL_INVALID_CONTEXT);
        assert_int_equal(weft_clReleaseMemObject((cl_mem)wrong[i]), CL_INVALID_MEM_OBJECT);
    }
    assert_int_equal(weft_clFlush((cl_command_queue)c), CL_INVALID_COMMAND_QUEUE);
    weft_clReleaseContext(c);
}

static void object__counts_what_the_program_counts(void **state) {
    cl_int rc;
    cl_uint n = 0;
    cl_context c = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    cl_mem m = weft_clCreateBuffer(c, 0, 4, NULL, &rc); /* holds the context, without a reference */
    assert_int_equal(weft_clGetContextInfo(c, CL_CONTEXT_REFERENCE_COUNT, sizeof n, &n, NULL), CL_SUCCESS);
    assert_int_equal(n, 1);
    weft_clRetainContext(c);
    weft_clGetContextInfo(c, CL_CONTEXT_REFERENCE_COUNT, sizeof n, &n, NULL);
    assert_int_equal(n, 2);
    weft_clReleaseContext(c);
    weft_clReleaseContext(c);
    assert_int_equal(weft_clRetainContext(c), CL_INVALID_CONTEXT);
    assert_int_equal(fakes_live(), 2);
    weft_clReleaseMemObject(m);
    assert_int_equal(fakes_live(), 0);
}

static cl_context shared;
static void *churn(void *unused) {
    cl_int rc;
    for (int i = 0; i < 2000; i++) {
        cl_event e = weft_clCreateUserEvent(shared, &rc);
        weft_clRetainEvent(e);
        weft_clReleaseEvent(e);
        weft_clReleaseEvent(e);
    }
    return NULL;
}

static void object__many_threads(void **state) {
    cl_int rc;
    pthread_t t[4];
    shared = weft_clCreateContext(NULL, 1, fake_devices, NULL, NULL, &rc);
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, churn, NULL);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    assert_int_equal(weft_clReleaseContext(shared), CL_SUCCESS);
    assert_int_equal(fakes_live(), 0);
}

/* Every slot has its function but those of systems that are not this one; the manual names all that are
 * refused. */
static void entries__table_and_manual_agree(void **state) {
    static const struct {
        const char *name, *state, *error;
    } entries[] = {
#define ENTRY(name, state, error) {#name, #state, error},
#include "opencl/front/entries.def"
#undef ENTRY
    };
    void *const *slots = (void *const *)&front_dispatch;
    FILE *f = fopen(OPENCL_MANUAL, "r");
    assert_non_null(f);
    static char text[1 << 17];
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        bool absent = strcmp(entries[i].state, "ABSENT") == 0,
             refused = strcmp(entries[i].state, "REFUSED") == 0;
        assert_int_equal(slots[i] == NULL, absent);
        if (!absent) assert_ptr_equal(weft_clGetExtensionFunctionAddress(entries[i].name), slots[i]);
        char row[200];
        snprintf(row, sizeof row, "| `%s` | `%s` |", entries[i].name, entries[i].error);
        if (refused != (strstr(text, row) != NULL))
            fail_msg("docs/OPENCL.md and entries.def disagree on %s", row);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(object__stale_handle_is_refused),
        cmocka_unit_test(object__other_kinds_and_made_up_addresses_are_refused),
        cmocka_unit_test(object__counts_what_the_program_counts),
        cmocka_unit_test(object__many_threads),
        cmocka_unit_test(entries__table_and_manual_agree),
    };
    fakes_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
