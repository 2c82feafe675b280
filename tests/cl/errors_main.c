/* Error test of an OpenCL implementation: each wrong call must give the code that the OpenCL 1.2
 * specification names. Every check prints its name, what came and what was wanted. */
#include "errors.h"
#include <stdlib.h>
#include <string.h>

static unsigned checks, wrong;

/* CLTEST_STRICT is 1, or names the group of checks that is to be strict. */
static bool strict(const char *group) {
    const char *s = getenv("CLTEST_STRICT");
    return s && (!strcmp(s, "1") || strstr(s, group));
}

static void line(const char *verdict, const char *name, const char *got, const char *want) {
    printf("  %-8s %-58s got %s, wanted %s\n", verdict, name, got, want);
    checks++;
}

void expect_or(const char *name, cl_int got, cl_int want, cl_int known) {
    bool right = got == want, forgiven = !right && got == known && !strict("codes");
    line(right ? "ok" : forgiven ? "deviates" : "WRONG", name, clerror_name(got), clerror_name(want));
    wrong += !right && !forgiven;
}

void expect_risky(const char *name, cl_int got, cl_int want) {
    bool right = got == want, forgiven = !right && !strict("risky");
    line(right ? "ok" : forgiven ? "deviates" : "WRONG", name, clerror_name(got), clerror_name(want));
    wrong += !right && !forgiven;
}

void expect_either(const char *name, cl_int got, cl_int want, cl_int also) {
    expect_or(name, got, got == also ? also : want, want);
}

void expect(const char *name, cl_int got, cl_int want) { expect_or(name, got, want, want); }

void expect_true(const char *name, bool holds) {
    line(holds ? "ok" : "WRONG", name, holds ? "true" : "false", "true");
    wrong += !holds;
}

/* The last case fails the run if any single check was wrong. */
static void all_codes_right(struct cltest *t) {
    cltest_note("%u checks, %u wrong", checks, wrong);
    CHECK_EQ(wrong, 0);
}

static const char *child_case;
static int child_status;
static void child(struct cltest *t) { child_status = risky_run(t, child_case); }

#define CASE(name)                                                                                           \
    { #name, name }
static const struct cltest_case cases[] = {
    CASE(errors_platform),      CASE(errors_context),      CASE(errors_queue),  CASE(errors_program),
    CASE(errors_kernel),        CASE(errors_range),        CASE(errors_buffer), CASE(errors_sub_buffer),
    CASE(errors_transfer),      CASE(errors_rect),         CASE(errors_map),    CASE(errors_image),
    CASE(errors_image_command), CASE(errors_event),        CASE(errors_query),  CASE(errors_null_handle),
    CASE(errors_risky),         CASE(errors_after_errors),
};

/* Runs the groups chosen on the command line and then the verdict. */
int main(int argc, char **argv) {
    enum { N = sizeof cases / sizeof *cases };
    if (argc == 3 && !strcmp(argv[1], "--risky")) {
        const struct cltest_case one = {"risky call", child};
        child_case = argv[2];
        int status = cltest_main(1, argv, "one risky call", &one, 1);
        return status ? status : child_status;
    }
    struct cltest_case with_verdict[N + 1];
    memcpy(with_verdict, cases, sizeof cases);
    with_verdict[N] = (struct cltest_case){"all codes as specified", all_codes_right};
    char *with_all[20] = {argv[0]};
    int n = 1;
    for (; n < argc && n < 18; n++) with_all[n] = argv[n];
    if (argc > 1 && argv[1][0] != '-') with_all[n++] = "all codes";
    return cltest_main(n, with_all, "OpenCL error test", with_verdict, N + 1);
}
