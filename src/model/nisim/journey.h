/* The journey of one message, step by step: what each way of notification makes of it. */
#ifndef WEFT_MODEL_NISIM_JOURNEY_H
#define WEFT_MODEL_NISIM_JOURNEY_H
#include "model/nisim/node.h"

enum nisim_lane {
    NISIM_L_SENDER,
    NISIM_L_SENDER_OS,
    NISIM_L_SENDER_NI,
    NISIM_L_WIRE,
    NISIM_L_NI,
    NISIM_L_OS,
    NISIM_L_THREAD,
    NISIM_LANES
};
extern const char *const nisim_lane_name[NISIM_LANES];

struct nisim_step {
    const char *what;
    enum nisim_lane lane;
    cycle_t from, to; /* from the begin of composing */
};
#define NISIM_STEPS_MAX 20
struct nisim_journey {
    enum nisim_mechanism mechanism;
    bool pio;
    int count;
    struct nisim_step step[NISIM_STEPS_MAX];
    cycle_t handler; /* from the arrival of the whole message to the handler's first instruction */
    cycle_t end;
};

/* One message of c->message_B from a node that does nothing else to one where c->threads compute; the last of
 * `times`, so that with more than one the caches know the way. */
int nisim_journey(const struct nisim_config *c, enum nisim_mechanism mechanism, bool pio, int times,
                  uint64_t seed, struct nisim_journey *out);

#endif
