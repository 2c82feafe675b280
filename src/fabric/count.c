/* The fabric's counters. */
#include "fabric/count.h"
#include "base/counter.h"

WEFT_COUNTERS(fabric, {"fabric_peers_refused", "peers", "Peers that on_accept turned away.", 0},
              {"fabric_peers_failed", "peers",
               "Peers that broke the fabric's protocol or could not be answered.", 0},
              {"fabric_messages_refused", "messages",
               "Messages for no handler, too long for their place, or over a limit.", 0},
              {"fabric_discarded", "messages", "Messages whose data the header handler did not want.", 0},
              {"fabric_posted_hits", "messages", "Messages that found a posted buffer.", 0},
              {"fabric_puts_refused", "puts", "Puts that no window allows.", 0},
              {"fabric_gets_refused", "gets", "Gets that no window allows.", 0},
              {"fabric_targets_unknown", "events", "Target counters that peers named and that are not there.",
               0},
              {"fabric_replies_late", "messages", "Answers to operations that had ended.", 0},
              {"fabric_fenced", "operations", "Operations that were kept back behind a fence.", 0},
              {"fabric_unpinned", "uses", "Uses of dynamic memory that could not be pinned.", 0},
              {"fabric_pins", "pins", "Ranges of memory pinned.", 0},
              {"fabric_pins_cached", "pins", "Ranges that were pinned already when asked for.", 0},
              {"fabric_pins_stale", "pins", "Pins dropped because their memory was unmapped or moved.", 0},
              {"fabric_ends_told", "processes", "Ends of processes that the daemon told.", 0})

void fabric_count(enum fabric_counter which, uint64_t n) { weft_counter_add(&fabric_counters[which], n); }
