/* For test programs: a directory in /tmp, which goes with all that is in it when the program has ended, also
 * if it crashed, hung or was killed. */
#ifndef WEFT_BASE_TEST_DIR_H
#define WEFT_BASE_TEST_DIR_H

/* Its name, of fewer than 32 bytes; each call gives the same. Before the program has threads. NULL: it cannot
 * be had. */
const char *test_dir(void);

#endif
