/* Machine: by what a host is known again, so that figures measured on one kind of machine are not used on
 * another. */
#ifndef WEFT_BASE_MACHINE_H
#define WEFT_BASE_MACHINE_H
#include <stddef.h>

#define WEFT_MACHINE_BYTES 32

/* 16 hexadecimal digits made of the CPU's model, the number of CPUs, the memory in GiB and the kernel's
 * release: hosts of a cluster that are alike have the same, and so may share a home directory. It outlives a
 * restart of the machine. */
void weft_machine_fingerprint(char out[WEFT_MACHINE_BYTES]);

#endif
