/* Order that thread sanitizer cannot see. It knows memory by its address; where two threads of one program order
 * themselves through memory that is mapped at two addresses (both sides of shm in one test), it is told here. In
 * other builds these are nothing. */
#ifndef WEFT_BASE_TSAN_H
#define WEFT_BASE_TSAN_H
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define WEFT_TSAN_RELEASE(at) __tsan_release(at)
#define WEFT_TSAN_ACQUIRE(at) __tsan_acquire(at)
#else
#define WEFT_TSAN_RELEASE(at) ((void)(at))
#define WEFT_TSAN_ACQUIRE(at) ((void)(at))
#endif
#endif
