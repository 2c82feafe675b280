/* Cheap stand-ins for the primitives of transport/crypto.h, for programs that are linked so that these calls
 * pass there (weft_cipher in CMakeLists.txt). */
#ifndef WEFT_SIM_CIPHER_H
#define WEFT_SIM_CIPHER_H
#include <stdint.h>

/* From now on, with random bytes from this state. NULL: the true ones. */
void cipher_use(uint64_t *random);

#endif
