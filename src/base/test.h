/* What every unit test includes: cmocka with the headers that it needs. */
#ifndef WEFT_BASE_TEST_H
#define WEFT_BASE_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
