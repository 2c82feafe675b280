/* What every unit test includes: cmocka with the headers that it needs. */
#ifndef WEFT_BASE_TEST_H
#define WEFT_BASE_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* How many times as long things may take; as in cmake/WeftTest.cmake. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SLOWDOWN 4
#else
#define TEST_SLOWDOWN 1
#endif

#endif
