/* The transport's counters. */
#include "transport/stats.h"
#include "base/counter.h"

WEFT_COUNTERS(
    transport, {"transport_packets_sent", "packets", "Packets that an adapter took.", 0},
    {"transport_packets_received", "packets", "Packets that were valid and new.", 0},
    {"transport_packets_lost", "packets", "Packets declared lost; their content was sent again.", 0},
    {"transport_packets_spurious", "packets", "Packets declared lost that had arrived.", 0},
    {"transport_packets_bad", "packets", "Packets refused: malformed, or their checksum did not hold.", 0},
    {"transport_packets_duplicate", "packets", "Packets that came again.", 0},
    {"transport_packets_unknown", "packets", "Packets for a connection that is not known.", 0},
    {"transport_packets_not_taken", "packets", "Packets left unacknowledged for lack of room.", 0},
    {"transport_probe_timeouts", "events", "Times that a silent peer was probed.", 0},
    {"transport_acks_sent", "items", "Acknowledgements sent.", 0},
    {"transport_tags_unknown", "packets", "Data packets with a tag that is not armed (any more).", 0},
    {"transport_chunks_repeated", "packets", "Data packets whose bytes had come before.", 0},
    {"transport_resets_sent", "packets", "Resets sent for unknown connections.", 0},
    {"transport_messages_sent", "messages", "Messages queued.", 0},
    {"transport_messages_delivered", "messages", "Messages whose header reached its handler.", 0},
    {"transport_pushes", "messages", "Large messages received as superpackets.", 0},
    {"transport_pulls", "messages", "Large messages that the receiver read itself.", 0},
    {"transport_pull_fallbacks", "messages", "Large messages that could not be read and were pushed.", 0},
    {"transport_discarded", "messages", "Large messages whose data the handler did not want.", 0},
    {"transport_canceled", "messages", "Large messages that were canceled here before all data had come.", 0},
    {"transport_connects", "connections", "Connections made from here.", 0},
    {"transport_accepts", "connections", "Connections made by peers.", 0},
    {"transport_peers_lost", "connections", "Connections that ended without an orderly close.", 0},
    {"transport_sleeps", "events", "Times that a thread slept in the kernel for packets.", 0},
    {"transport_kicks", "events", "Times that a sleeping thread was woken by another.", 0})

void stats_add(enum stats which, uint64_t n) { weft_counter_add(&transport_counters[which], n); }
