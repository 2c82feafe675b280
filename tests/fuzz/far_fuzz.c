/* What services on other hosts say to a node's SCIF service, and what its programs ask for meanwhile:
 * whatever it is, and in whatever order things end, the service goes on, keeps nothing open, and no byte goes
 * where a window does not allow it. An input is a list of steps: a byte each, and what they need. */
#include "base/clock.h"
#include "base/error.h"
#include "far_world.h"
#include "fuzz.h"
#include "scif/queue.h"

#include <errno.h>
#include <string.h>

static struct {
    const uint8_t *at;
    size_t left;
} in;
static bool spoils; /* programs write nonsense into their own memory, too: of that nothing is promised */

static uint8_t next(void) {
    if (!in.left) return 0;
    in.left--;
    return *in.at++;
}

static uint64_t next_raw(unsigned bytes) {
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) v |= (uint64_t)next() << 8 * i;
    return v;
}

/* Offsets and sizes: mostly at and around the edges of windows. */
static uint64_t next_number(void) {
    static const uint64_t edge[] = {0,
                                    1,
                                    8,
                                    64,
                                    SHARE_PAGE,
                                    2 * SHARE_PAGE,
                                    3 * SHARE_PAGE,
                                    4 * SHARE_PAGE,
                                    SCIF_BLOCK_BYTES,
                                    UINT64_C(1) << 31,
                                    UINT64_C(1) << 32,
                                    UINT64_C(1) << 62,
                                    UINT64_C(1) << 63,
                                    UINT64_MAX,
                                    UINT64_MAX - SHARE_PAGE + 1,
                                    100};
    uint8_t b = next();
    uint64_t n = edge[b & 15];
    switch (b >> 4 & 3) {
    case 1: return n - 1;
    case 2: return n + next();
    case 3: return b >> 6 ? next_raw(8) : n + 1;
    default: return n;
    }
}

/* ---- Messages ---- */
static uint8_t header[EP_HEADER_MAX];
static struct weft_writer w;

static void begin(uint8_t op) {
    uint8_t b = next();
    weft_writer_init(&w, header, sizeof header);
    weft_put_u8(&w, op);
    weft_put_u8(&w, b & 1);
    weft_put_u32(&w, b >> 1 & 3);
}

static unsigned sender(void) { return next() % WORLD_PEERS; }

static void say(unsigned k, const void *data, uint64_t bytes) {
    (void)world_say(k, w.data, w.len, data, bytes);
}

static void raw_message(void) {
    unsigned k = sender();
    begin(next());
    for (unsigned n = next(); n && in.left; n--) weft_put_u8(&w, next());
    uint8_t b = next();
    say(k, b & 1 ? header : NULL, b >> 1);
}

static void connect_message(void) {
    unsigned k = sender();
    uint8_t b = next();
    begin(FAR_CONNECT);
    weft_put_u16(&w, FAR_VERSION);
    weft_put_u16(&w, (uint16_t)(1 + k));
    weft_put_u32(&w, 7);
    weft_put_u16(&w, 1234);
    weft_put_u16(&w, b ? WORLD_PORT : 77);
    say(k, NULL, 0);
}

static void message_of_link(void) {
    static const uint8_t op[] = {FAR_ANSWER, FAR_DATA, FAR_TAKEN, FAR_CLOSE};
    unsigned k = sender();
    uint8_t b = next(), kind = op[b & 3];
    begin(kind);
    if (kind == FAR_ANSWER) weft_put_u8(&w, b >> 2 & 1);
    if (kind == FAR_DATA || kind == FAR_TAKEN) weft_put_u32(&w, (uint32_t)next_number());
    if (kind == FAR_DATA)
        for (unsigned n = (b >> 2) * 16u; n; n--) weft_put_u8(&w, (uint8_t)n);
    say(k, NULL, 0);
}

static void request_message(void) {
    static const uint8_t data[SCIF_BLOCK_BYTES + 1];
    unsigned k = sender();
    uint8_t b = next();
    bool write = b & 1;
    begin(write ? FAR_WRITE : FAR_READ);
    weft_put_u8(&w, b >> 1 & 3);
    weft_put_u16(&w, b & 8 ? (uint16_t)next_raw(2) : (uint16_t)(write ? SCIF_PROT_WRITE : SCIF_PROT_READ));
    uint64_t bytes = next_number(), offset = next_number();
    weft_put_u32(&w, (uint32_t)bytes);
    weft_put_u64(&w, offset);
    weft_put_u64(&w, b & 16 ? next_number() : offset);
    weft_put_u64(&w, b & 32 ? next_number() : bytes);
    if (!write || bytes > sizeof data) bytes = 0;
    say(k, b & 64 ? NULL : data, bytes);
}

static void answer_message(void) {
    static const uint8_t data[SCIF_BLOCK_BYTES];
    unsigned k = sender();
    uint8_t b = next();
    bool done = b & 1;
    begin(done ? FAR_DONE : FAR_BYTES);
    weft_put_u8(&w, b >> 1 & 3);
    weft_put_u16(&w, b & 8 ? next() : 0);
    if (done) weft_put_u64(&w, next_number());
    uint64_t bytes = next_number();
    if (done) weft_put_u64(&w, bytes);
    say(k, b & 16 ? NULL : data, done || bytes > sizeof data ? 0 : bytes);
}

static void map_message(void) {
    unsigned k = sender();
    begin(FAR_MAP);
    weft_put_u32(&w, next() & 3);
    weft_put_u64(&w, next_number());
    weft_put_u32(&w, (uint32_t)next_number());
    weft_put_u8(&w, next());
    say(k, NULL, 0);
}

static void mapped_message(void) {
    unsigned k = sender();
    begin(FAR_MAPPED);
    weft_put_u32(&w, next() & 7);
    weft_put_u16(&w, next() & 15);
    say(k, NULL, 0);
}

static void page_message(void) {
    static const uint8_t part[1000];
    unsigned k = sender();
    uint8_t b = next();
    for (unsigned i = 0; i < 5 && (b & 1); i++) {
        begin(FAR_PART);
        weft_put_bytes(&w, part, i < 4 ? sizeof part : SHARE_PAGE - 4 * sizeof part);
        say(k, NULL, 0);
    }
    begin(FAR_PAGE);
    weft_put_u32(&w, b >> 2 & 7);
    weft_put_u8(&w, b >> 1 & 1);
    weft_put_u8(&w, next() % (SHARE_END + 2));
    weft_put_u32(&w, b & 64 ? (uint32_t)next_number() : b >> 5 & 3);
    say(k, NULL, 0);
}

static void happen(void) {
    uint8_t b = next();
    unsigned k = b >> 4 & 3;
    switch (b & 7) {
    case 0: (void)world_peer_up(k % WORLD_PEERS); break;
    case 1: world_peer_down(k % WORLD_PEERS, b & 8 ? WEFT_E_PEER_LOST : WEFT_E_CLOSED); break;
    case 2: world_process_down(k, 7); break;
    case 3: world_node_down(k); break;
    case 4: world_found(b & 8 ? WEFT_E_UNREACHABLE : WEFT_OK); break;
    case 5: world_wait((uint64_t)next() * 100 * WEFT_NS_PER_MS); break;
    case 6: world_complete(next(), b & 8 ? WEFT_E_CLOSED : WEFT_OK); break;
    default: world_refuse_next();
    }
}

/* ---- Programs here ---- */
static struct world_end *some_end(void) { return world_end(1 + next() % (WORLD_ENDS - 1)); }

static void answer_at_door(void) {
    uint8_t b = next();
    world_door_answer((int)(b & 15) - 1, b & 16);
}

static void program_end(void) {
    uint8_t b = next();
    unsigned i = 1 + (b >> 3) % (WORLD_ENDS - 1);
    struct world_end *e = world_end(i);
    switch (b & 7) {
    case 0: world_end_open(i); break;
    case 1: world_end_connect(i, next() & 3, WORLD_PORT); break;
    case 2: world_end_close(i); break;
    case 3: world_line_close(next() % WORLD_LINES); break;
    case 4: answer_at_door(); break;
    default:
        if (world_end_accept(i) && e->id) world_end_give_windows(i);
    }
}

static void program_message(void) {
    static const char bytes[SCIF_QUEUE_BYTES];
    char room[SCIF_QUEUE_BYTES];
    struct world_end *e = some_end();
    uint8_t b = next();
    if (!e->id || !e->peer) return;
    if (b & 1) {
        if (queue_put(e->peer, bytes, (size_t)b * 16)) (void)queue_tell(&e->peer->queue, e->peer_fd[1]);
        queue_mark_full(&e->peer->queue, e->fd[0], e->fd[1]);
        return;
    }
    if (queue_get(&e->memory->shared, room, (size_t)b * 16))
        queue_unmark_full(&e->memory->shared.queue, e->peer_fd[1]);
    if (queue_empty(&e->memory->shared.queue)) queue_unmark(&e->memory->shared.queue, e->fd[0]);
}

static void program_rma(void) {
    struct world_end *e = some_end();
    uint8_t b = next();
    struct scif_rma q = {.endpoint = e->id,
                         .needs = b & 16 ? (uint32_t)next_raw(2) : b & 3,
                         .block = b >> 5,
                         .write = b >> 2 & 1};
    q.offset = next_number();
    q.bytes = (uint32_t)next_number();
    q.from = b & 8 ? next_number() : q.offset;
    q.whole = b & 8 ? next_number() : q.bytes;
    if (e->peer && q.needs & SCIF_RMA_LEFT) atomic_fetch_add(&e->peer->queue.asked, 1);
    world_request(WORLD_STAGE, &q, sizeof q, -1);
}

static void program_maps(void) {
    struct world_end *e = some_end();
    uint8_t b = next();
    struct scif_pages q = {.op = b & 3, .mapping = b >> 2 & 3, .endpoint = e->id, .prot = b >> 4};
    q.offset = next_number();
    q.pages = (uint32_t)next_number();
    bool show = q.op == SCIF_PAGES_SHOW;
    if (show && q.pages) q.mapping = world_shown();
    if (show) q.error = (int)q.prot & 1;
    if (q.op == SCIF_PAGES_MAP)
        world_request_with_frame(WORLD_PAGES_LINE, &q, sizeof q);
    else
        world_request(WORLD_PAGES_LINE, &q, sizeof q, show && q.prot < 8 ? -1 : world_file());
}

static void program_page(void) {
    static struct pages_record r;
    uint8_t b = next();
    r.m = (struct share_message){.mapping = b >> 2 & 3,
                                 .kind = next() % (SHARE_END + 2),
                                 .page = b & 2 ? (uint32_t)next_number() : b >> 4,
                                 .bytes = b & 1 ? SHARE_PAGE : 0};
    world_request(WORLD_PAGES_LINE, &r, sizeof r.m + r.m.bytes, -1);
}

static void program_request(void) {
    struct scif_request q = {.op = next(), .value = next(), .endpoint = some_end()->id};
    q.peer = (struct scif_portID){next() & 3, WORLD_PORT};
    q.port = (uint16_t)next_raw(2);
    if (q.op == SCIF_OP_KEEP) q.value = (uint32_t)world_file();
    world_request(WORLD_LINE, &q, sizeof q, q.value & 1 ? world_file() : -1);
}

/* Not where it says who holds which descriptor: that could be any of this process. */
static void spoil(void) {
    struct world_end *e = some_end();
    struct scif_shared *q = NULL;
    uint8_t b = next();
    uint64_t n = next_number();
    if (!e->id || !spoils) return;
    q = b & 1 && e->peer ? e->peer : &e->memory->shared;
    struct scif_piece *p = &q->windows.piece[b >> 4 & 3];
    switch (b >> 1 & 7) {
    case 0: atomic_store(&q->queue.head, (unsigned)n); break;
    case 1: atomic_store(&q->queue.tail, (unsigned)n); break;
    case 2: atomic_store(&q->windows.count, (unsigned)n); break;
    case 3: p->offset = n; break;
    case 4: p->bytes = n; break;
    case 5: p->at = n; break;
    case 6: p->kind = (uint32_t)n; break;
    default: p->place = (uint32_t)n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const step[])(void) = {connect_message, message_of_link, request_message, answer_message,
                                         map_message,     mapped_message,  page_message,    raw_message,
                                         happen,          program_end,     program_message, program_rma,
                                         program_maps,    program_page,    program_request, spoil};
    if (!size) return 0;
    in.at = data;
    in.left = size;
    spoils = next() & 1;
    world_open();
    for (unsigned k = 0; k + 1 < WORLD_PEERS; k++)
        (void)world_peer_up(k); /* one place is for who is looked for */
    while (in.left) {
        step[next() & 15]();
        world_settle();
    }
    world_close();
    FUZZ_CHECK(spoils || (world_page_is_untouched(WORLD_READ) && world_page_is_untouched(WORLD_OUTSIDE)));
    return 0;
}
