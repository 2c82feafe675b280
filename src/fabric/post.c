/* Posted buffers: Post_Buffer and Cancel_Post_Buffer. */
#include "fabric/fabric.h"

#include <stdlib.h>

static struct weft_map *table_of(struct weft *w, struct weft_peer *from) {
    return from ? &from->posts : &w->posts;
}

static struct post *create(struct weft_peer *from, uint64_t tag, const struct weft_buf *into) {
    struct post *post = malloc(sizeof *post);
    if (post) *post = (struct post){.tag = tag, .from = from, .mem = into->mem, .bytes = into->bytes};
    return post;
}

/* Enters it; *overridden: the earlier one of that tag. With the lock. */
static int enter(struct weft *w, struct post *post, struct post **overridden) {
    struct weft_map *table = table_of(w, post->from);
    int status = post->from ? atomic_load(&post->from->status) : 0;
    if (status && status != WEFT_E_AGAIN) return status;
    *overridden = weft_map_swap(table, post->tag, post);
    if (*overridden) return 0;
    return table->count < w->max_posts ? weft_map_put(table, post->tag, post) : WEFT_E_LIMIT;
}

int weft_post_buffer(struct weft *w, struct weft_peer *from, uint64_t tag, struct weft_buf into,
                     const struct weft_done *done) {
    if (tag == WEFT_NO_TAG || (into.bytes && !into.mem && !into.ptr)) return WEFT_E_INVAL;
    struct post *post = create(from, tag, &into), *overridden = NULL;
    if (!post) return WEFT_E_NOMEM;
    int rc = buf_take(w, &into, &post->buf, &post->pin);
    if (rc) {
        free(post);
        return rc;
    }
    pthread_mutex_lock(&w->lock);
    rc = done_take(w, &post->done, done);
    if (rc == 0) rc = enter(w, post, &overridden);
    if (rc) {
        done_forget(w, &post->done);
        buf_give(post->mem, post->pin);
    }
    pthread_mutex_unlock(&w->lock);
    if (overridden) post_end(w, overridden, WEFT_E_CANCELED);
    if (rc) free(post);
    return rc;
}

static struct post *look(struct weft_map *table, uint64_t tag, uint64_t bytes, int *status) {
    struct post *post = weft_map_get(table, tag);
    if (!post) return NULL;
    if (bytes > post->bytes) {
        *status = WEFT_E_TOO_BIG;
        return NULL;
    }
    return weft_map_remove(table, tag);
}

struct post *post_match(struct weft_peer *p, uint64_t tag, uint64_t bytes, int *status) {
    struct post *post = look(&p->posts, tag, bytes, status);
    return post || *status ? post : look(&p->w->posts, tag, bytes, status);
}

void post_end(struct weft *w, struct post *post, int status) {
    struct weft_done done = post->done;
    pthread_mutex_lock(&w->lock);
    buf_give(post->mem, post->pin);
    pthread_mutex_unlock(&w->lock);
    free(post);
    done_tell(w, &done, status);
}

static void fail_table(struct weft *w, struct weft_map *table, int status) {
    for (;;) {
        size_t it = 0;
        pthread_mutex_lock(&w->lock);
        struct post *post = weft_map_next(table, &it, NULL);
        if (post) weft_map_remove(table, post->tag);
        pthread_mutex_unlock(&w->lock);
        if (!post) return;
        post_end(w, post, status);
    }
}

void post_fail_peer(struct weft_peer *p, int status) { fail_table(p->w, &p->posts, status); }
void post_fail_all(struct weft *w, int status) { fail_table(w, &w->posts, status); }

/* A message of this peer that is being stored for the tag, as the token of the transport; 0: none. With the
 * lock. */
static uint64_t under_way(struct weft_peer *p, const struct weft_peer *from, uint64_t tag) {
    weft_list_for_each(it, &p->arrivals) {
        struct arrival *a = weft_list_entry(it, struct arrival, node);
        if (a->canceled || !a->post || a->post->tag != tag || a->post->from != from) continue;
        a->canceled = true;
        return a->token;
    }
    return 0;
}

static uint64_t find_under_way(struct weft *w, struct weft_peer *from, uint64_t tag) {
    uint64_t token = 0;
    pthread_mutex_lock(&w->lock);
    if (from) token = under_way(from, from, tag);
    if (!from) weft_list_for_each(it, &w->peers) {
            struct weft_peer *p = weft_list_entry(it, struct weft_peer, node);
            if ((token = under_way(p, NULL, tag))) break;
        }
    pthread_mutex_unlock(&w->lock);
    return token;
}

int weft_cancel_post_buffer(struct weft *w, struct weft_peer *from, uint64_t tag) {
    pthread_mutex_lock(&w->lock);
    struct post *post = weft_map_remove(table_of(w, from), tag);
    pthread_mutex_unlock(&w->lock);
    if (post) {
        post_end(w, post, WEFT_E_CANCELED);
        return 0;
    }
    int rc = WEFT_E_NOENT;
    for (uint64_t token; (token = find_under_way(w, from, tag));)
        if (ep_cancel(w->ep, token) == 0) rc = 0;
    return rc;
}
