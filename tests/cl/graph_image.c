/* Images in graphs: what they are, the steps that use them, and what these do to the model. */
#include "graph.h"
#include <string.h>

#define CHANNELS_MAX 4u

static const struct kind {
    cl_image_format format;
    size_t channels, channel_bytes;
} kinds[] = {{{CL_RGBA, CL_UNSIGNED_INT8}, 4, 1},
             {{CL_RGBA, CL_UNSIGNED_INT16}, 4, 2},
             {{CL_RGBA, CL_UNSIGNED_INT32}, 4, 4},
             {{CL_R, CL_UNSIGNED_INT32}, 1, 4}};
#define KINDS (sizeof kinds / sizeof *kinds)

static const struct kind *kind_of(const struct graph_object *o) {
    size_t i = 0;
    while (kinds[i].format.image_channel_order != o->format.image_channel_order ||
           kinds[i].format.image_channel_data_type != o->format.image_channel_data_type)
        i++;
    return &kinds[i];
}

/* ---- images ---- */
static void draw_shape(struct graph *g, struct graph_object *o) {
    static const cl_mem_object_type types[] = {CL_MEM_OBJECT_IMAGE2D, CL_MEM_OBJECT_IMAGE2D,
                                               CL_MEM_OBJECT_IMAGE3D, CL_MEM_OBJECT_IMAGE2D_ARRAY,
                                               CL_MEM_OBJECT_IMAGE1D, CL_MEM_OBJECT_IMAGE1D_ARRAY};
    const struct kind *k = &kinds[graph_below(g, KINDS)];
    o->image = types[graph_below(g, sizeof types / sizeof *types)];
    o->format = k->format;
    o->element = k->channels * k->channel_bytes;
    o->extent[0] = 1 + graph_below(g, graph_one_in(g, 8) ? 400 : 60);
    o->extent[1] = o->image == CL_MEM_OBJECT_IMAGE1D ? 1 : 1 + graph_below(g, 40);
    bool deep = o->image == CL_MEM_OBJECT_IMAGE3D || o->image == CL_MEM_OBJECT_IMAGE2D_ARRAY;
    o->extent[2] = deep ? 1 + graph_below(g, 6) : 1;
    o->bytes = o->element * o->extent[0] * o->extent[1] * o->extent[2];
}

/* Two of three are as the one before them, so that there is something to copy between. All have contents
 * from the beginning. */
void graph_images_make(struct graph *g) {
    for (size_t n = 2 + graph_below(g, GRAPH_IMAGES - 1); n; n--) {
        unsigned i = GRAPH_OBJECTS + g->images++;
        struct graph_object *o = &g->object[i];
        if (g->images > 1 && !graph_one_in(g, 3))
            *o = o[-1];
        else
            draw_shape(g, o);
        o->root = i;
        o->flags = CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR;
        g->host[i] = graph_allocate(o->bytes);
        g->model[i] = graph_allocate(o->bytes);
        cltest_pattern(g->host[i], o->bytes, (uint32_t)graph_below(g, 1u << 30));
        memcpy(g->model[i], g->host[i], o->bytes);
    }
}

/* ---- steps ---- */
static struct graph_use use_all(const struct graph *g, unsigned object, bool write) {
    return (struct graph_use){.object = object, .bytes = g->object[object].bytes, .write = write};
}

static unsigned pick(struct graph *g) { return GRAPH_OBJECTS + (unsigned)graph_below(g, g->images); }

/* A box that both have room for. */
static void pick_box(struct graph *g, struct graph_step *s, const struct graph_object *a,
                     const struct graph_object *b) {
    for (int i = 0; i < 3; i++) {
        size_t room = a->extent[i] < b->extent[i] ? a->extent[i] : b->extent[i];
        s->region[i] = graph_one_in(g, 4) ? room : 1 + graph_below(g, room);
        s->origin[i] = graph_below(g, a->extent[i] - s->region[i] + 1);
        s->other_origin[i] = graph_below(g, b->extent[i] - s->region[i] + 1);
    }
}

static size_t box_bytes(const struct graph_step *s, const struct graph_object *o) {
    return s->region[0] * s->region[1] * s->region[2] * o->element;
}

/* The host's rows and slices: apart as far as the type allows. */
static void pick_host(struct graph *g, struct graph_step *s, const struct graph_object *o) {
    bool deep = o->image == CL_MEM_OBJECT_IMAGE3D || o->image == CL_MEM_OBJECT_IMAGE2D_ARRAY,
         rows = deep || o->image == CL_MEM_OBJECT_IMAGE2D;
    struct graph_rect *r = &s->rect;
    *r = (struct graph_rect){.box = {s->region[0] * o->element, s->region[1], s->region[2]}};
    r->row = r->box[0] + (rows ? graph_below(g, 5) * o->element : 0);
    r->slice = r->row * (r->box[1] + (deep ? graph_below(g, 3) : 0));
    s->bytes = graph_extent(r);
}

static bool transfer(struct graph *g, struct graph_step *s, bool write) {
    unsigned image = pick(g);
    const struct graph_object *o = &g->object[image];
    s->uses = 1;
    s->use[0] = use_all(g, image, write);
    pick_box(g, s, o, o);
    pick_host(g, s, o);
    return true;
}

static bool between_images(struct graph *g, struct graph_step *s, bool whole) {
    unsigned to = pick(g), from = pick(g);
    const struct graph_object *a = &g->object[to], *b = &g->object[from];
    if (to == from || a->image != b->image || kind_of(a) != kind_of(b)) return false;
    if (whole && (a->image != CL_MEM_OBJECT_IMAGE2D || memcmp(a->extent, b->extent, sizeof a->extent) != 0))
        return false;
    s->uses = 2;
    s->use[0] = use_all(g, to, true);
    s->use[1] = use_all(g, from, false);
    pick_box(g, s, a, b);
    return true;
}

/* A buffer is one, and no part of one, as copies of rectangles have it. */
static bool with_buffer(struct graph *g, struct graph_step *s, bool to_buffer) {
    unsigned image = pick(g), buffer = (unsigned)graph_below(g, g->roots);
    const struct graph_object *o = &g->object[image];
    pick_box(g, s, o, o);
    size_t bytes = box_bytes(s, o), room = g->object[buffer].bytes;
    if (g->object[buffer].svm || bytes > room) return false;
    size_t from = graph_below(g, (room - bytes) / o->element + 1) * o->element;
    s->uses = 2;
    s->use[to_buffer ? 1 : 0] = use_all(g, image, !to_buffer);
    s->use[to_buffer ? 0 : 1] =
        (struct graph_use){.object = buffer, .from = from, .bytes = bytes, .write = to_buffer};
    return true;
}

bool graph_image_step(struct graph *g, struct graph_step *s) {
    switch (s->kind) {
    case GRAPH_WRITE_IMAGE:
    case GRAPH_MAP_IMAGE_WRITE: return transfer(g, s, true);
    case GRAPH_READ_IMAGE:
    case GRAPH_MAP_IMAGE_READ: return transfer(g, s, false);
    case GRAPH_FILL_IMAGE: {
        bool good = transfer(g, s, true);
        s->bytes = 0;
        return good;
    }
    case GRAPH_COPY_IMAGE: return between_images(g, s, false);
    case GRAPH_TINT: return between_images(g, s, true);
    case GRAPH_IMAGE_TO_BUFFER: return with_buffer(g, s, true);
    case GRAPH_BUFFER_TO_IMAGE: return with_buffer(g, s, false);
    default: /* GRAPH_MIGRATE_IMAGE */
        s->uses = 1;
        s->use[0] = use_all(g, pick(g), true);
        return true;
    }
}

/* ---- the model ---- */
/* The box of an image in its model, which is packed; *at: its first byte. */
static struct graph_rect box_of(struct graph *g, const struct graph_step *s, unsigned use,
                                unsigned char **at) {
    const struct graph_object *o = &g->object[s->use[use].object];
    const size_t *from = use ? s->other_origin : s->origin;
    struct graph_rect r = {.box = {s->region[0] * o->element, s->region[1], s->region[2]},
                           .row = o->extent[0] * o->element};
    r.slice = r.row * o->extent[1];
    *at = g->model[o->root] + from[2] * r.slice + from[1] * r.row + from[0] * o->element;
    return r;
}

/* The bytes of an element in which every channel has the low bits of a value. */
static size_t element_of(const struct graph_object *o, uint32_t value, unsigned char out[16]) {
    const struct kind *k = kind_of(o);
    for (size_t c = 0; c < k->channels; c++) memcpy(out + c * k->channel_bytes, &value, k->channel_bytes);
    return o->element;
}

static void fill(struct graph *g, const struct graph_step *s) {
    unsigned char *at, color[16];
    struct graph_rect r = box_of(g, s, 0, &at);
    size_t element = element_of(&g->object[s->use[0].object], s->value, color);
    for (size_t z = 0; z < r.box[2]; z++)
        for (size_t y = 0; y < r.box[1]; y++)
            for (size_t x = 0; x < r.box[0]; x += element)
                memcpy(at + z * r.slice + y * r.row + x, color, element);
}

static void tint(struct graph *g, const struct graph_step *s) {
    unsigned char color[16];
    const struct graph_object *o = &g->object[s->use[0].object], *a = &g->object[s->use[1].object];
    size_t element = element_of(o, s->value, color);
    for (size_t i = 0; i < o->bytes; i++) g->model[o->root][i] = g->model[a->root][i] ^ color[i % element];
}

void graph_image_apply(struct graph *g, struct graph_step *s) {
    unsigned char *at = NULL, *other = NULL;
    struct graph_rect r, o;
    bool to_buffer = s->kind == GRAPH_IMAGE_TO_BUFFER, from_buffer = s->kind == GRAPH_BUFFER_TO_IMAGE;
    if (s->kind == GRAPH_MIGRATE_IMAGE) return;
    if (s->kind == GRAPH_TINT) {
        tint(g, s);
        return;
    }
    r = to_buffer ? box_of(g, s, 1, &at) : box_of(g, s, 0, &at);
    struct graph_rect packed = {.row = r.box[0], .slice = r.box[0] * r.box[1]};
    memcpy(packed.box, r.box, sizeof packed.box);
    const struct graph_use *buffer = &s->use[to_buffer ? 0 : 1];
    unsigned char *in_buffer = to_buffer || from_buffer ? g->model[buffer->object] + buffer->from : NULL;
    switch (s->kind) {
    case GRAPH_WRITE_IMAGE:
    case GRAPH_MAP_IMAGE_WRITE: graph_copy_rows(at, &r, s->memory, &s->rect); break;
    case GRAPH_READ_IMAGE:
    case GRAPH_MAP_IMAGE_READ: graph_copy_rows(s->expected, &s->rect, at, &r); break;
    case GRAPH_FILL_IMAGE: fill(g, s); break;
    case GRAPH_COPY_IMAGE:
        o = box_of(g, s, 1, &other);
        graph_copy_rows(at, &r, other, &o);
        break;
    case GRAPH_IMAGE_TO_BUFFER: graph_copy_rows(in_buffer, &packed, at, &r); break;
    default: graph_copy_rows(at, &r, in_buffer, &packed); break;
    }
}
