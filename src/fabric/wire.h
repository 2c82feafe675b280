/* The headers of fabric messages: little-endian, fixed size, checked by their readers (docs/PROTOCOL.md,
 * section 15). */
#ifndef WEFT_FABRIC_WIRE_H
#define WEFT_FABRIC_WIRE_H
#include "base/le.h"

#define WIRE_HELLO_BYTES  16 /* magic u32, version u16, flags u16, node u32, process u32 */
#define WIRE_REFUSE_BYTES 8  /* status i32, spare u32 */
#define WIRE_EAGER_BYTES  8  /* handler u16, spare u16, spare u32; then the program's header */
#define WIRE_AM_BYTES     24 /* handler u16, flags u16, target counter u32, tag u64, op u64; then the header */
#define WIRE_PUT_BYTES    32 /* key u64, offset u64, op u64, target counter u32, flags u32 */
#define WIRE_GET_BYTES    32 /* key u64, offset u64, bytes u64, op u64 */
#define WIRE_REPLY_BYTES  16 /* op u64, status i32, spare u32; of GOT too */
#define WIRE_FLUSH_BYTES  8  /* op u64 */

enum wire_flag {
    WIRE_QUIET = 1 << 0 /* AM and PUT: nobody is notified; other bits are 0 and not looked at */
};
enum wire_hello_flag { WIRE_HELLO_LISTED = 1 << 0 /* node and process are from a daemon, which knows it */ };

#endif
