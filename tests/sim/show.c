/* Show: the transcript of a run, one line for each packet and event. */
#include "sim.h"
#include "transport/wire.h"

#include <stdarg.h>
#include <stdio.h>

void show(const struct sim *s, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    printf("%12.6f ms  ", (double)s->now / 1e6);
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
}

static void show_ack(const struct wire_item *item) {
    struct wire_ack a;
    if (wire_ack_read(item, &a)) return;
    printf(" ACK");
    for (unsigned i = 0; i < a.count && i < 4; i++)
        printf(" %lu-%lu", (unsigned long)a.range[i].first, (unsigned long)a.range[i].last);
    if (a.count > 4) printf(" (%u ranges)", a.count);
}

static void show_item(const struct wire_item *item) {
    struct wire_msg m;
    struct wire_frag f;
    struct wire_rts r;
    struct wire_oktosend o;
    struct wire_window w;
    struct wire_fin fin;
    if (item->type == WIRE_ITEM_MSG && !wire_msg_read(item, &m))
        printf(" MSG %u/%lu (%zu of %u)", m.channel, (unsigned long)m.id, m.data_here, m.data_bytes);
    else if (item->type == WIRE_ITEM_FRAG && !wire_frag_read(item, &f))
        printf(" FRAG %u/%lu (%zu at %u)", f.channel, (unsigned long)f.id, f.len, f.offset);
    else if (item->type == WIRE_ITEM_RTS && !wire_rts_read(item, &r))
        printf(" RTS %u/%lu ref %lu (%lu)", r.channel, (unsigned long)r.id, (unsigned long)r.ref,
               (unsigned long)r.data_bytes);
    else if (item->type == WIRE_ITEM_OKTOSEND && !wire_oktosend_read(item, &o))
        printf(" OKTOSEND ref %lu tag %lx at %lu, %u", (unsigned long)o.ref, (unsigned long)o.tag,
               (unsigned long)o.offset, o.window);
    else if (item->type == WIRE_ITEM_WINDOW && !wire_window_read(item, &w))
        printf(" WINDOW ref %lu low %u", (unsigned long)w.ref, w.low);
    else if (item->type == WIRE_ITEM_FIN && !wire_fin_read(item, &fin))
        printf(" FIN ref %lu status %d", (unsigned long)fin.ref, fin.status);
    else if (item->type == WIRE_ITEM_ACK)
        show_ack(item);
    else if (item->type == WIRE_ITEM_STOP)
        printf(" STOP");
    else
        printf(" item %u", item->type);
}

static void show_data(const uint8_t *p, size_t len) {
    struct wire_data d;
    if (len < WIRE_DATA_BYTES) return;
    wire_data_read(p, &d);
    printf(" tag %lx, %u at %u", (unsigned long)d.tag, d.length, d.offset);
}

/* What an encrypted packet says is not shown. */
static void show_body(const struct wire_header *h, const uint8_t *p, size_t len) {
    struct wire_item item;
    if (h->type == WIRE_DATA) show_data(p, len);
    while (h->type == WIRE_CTRL && wire_item_next(&p, &len, &item) == 0) show_item(&item);
}

void show_packet(const struct sim *s, const char *what, int from, int to, const uint8_t *p, size_t len) {
    static const char *const names[] = {
        [WIRE_HELLO] = "HELLO", [WIRE_COOKIE] = "COOKIE", [WIRE_INIT] = "INIT",   [WIRE_RESP] = "RESP",
        [WIRE_CTRL] = "CTRL",   [WIRE_DATA] = "DATA",     [WIRE_PROBE] = "PROBE", [WIRE_RESET] = "RESET"};
    struct wire_header h;
    printf("%12.6f ms  %d > %d %-8s ", (double)s->now / 1e6, from, to, what);
    if (wire_header_read(p, len, &h) || h.type > WIRE_RESET || !names[h.type]) {
        printf("%zu bytes of nothing\n", len);
        return;
    }
    printf("%s %08x #%lu, %zu bytes:", names[h.type], h.dest, (unsigned long)h.number, len);
    if (s->p.keyed && (h.type == WIRE_CTRL || h.type == WIRE_DATA))
        printf(" encrypted");
    else
        show_body(&h, p + WIRE_HEADER_BYTES, len - WIRE_OVERHEAD_BYTES);
    putchar('\n');
}
