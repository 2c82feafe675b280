/* Intrusive doubly linked list with a sentinel head. No locking, no allocation. */
#ifndef WEFT_BASE_LIST_H
#define WEFT_BASE_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct weft_list {
    struct weft_list *next, *prev;
};

static inline void weft_list_init(struct weft_list *l) { l->next = l->prev = l; }
static inline bool weft_list_empty(const struct weft_list *l) { return l->next == l; }
static inline void weft_list_insert_before(struct weft_list *at, struct weft_list *n) {
    n->prev = at->prev;
    n->next = at;
    at->prev->next = n;
    at->prev = n;
}
static inline void weft_list_push_back(struct weft_list *head, struct weft_list *n) {
    weft_list_insert_before(head, n);
}
static inline void weft_list_push_front(struct weft_list *head, struct weft_list *n) {
    weft_list_insert_before(head->next, n);
}
/* Leaves n as an empty list, so that a second remove is harmless. */
static inline void weft_list_remove(struct weft_list *n) {
    n->prev->next = n->next;
    n->next->prev = n->prev;
    weft_list_init(n);
}
static inline struct weft_list *weft_list_pop_front(struct weft_list *head) {
    struct weft_list *n = head->next;
    if (n == head) return NULL;
    weft_list_remove(n);
    return n;
}
/* Moves all of `from` to the back of `to`. */
static inline void weft_list_splice(struct weft_list *to, struct weft_list *from) {
    if (weft_list_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    weft_list_init(from);
}

#define weft_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define weft_list_entry(ptr, type, member)   weft_container_of(ptr, type, member)
#define weft_list_for_each(it, head)         for (struct weft_list *it = (head)->next; it != (head); it = it->next)
/* The current node may be removed inside the loop. */
#define weft_list_for_each_safe(it, head)                                                                    \
    for (struct weft_list *it = (head)->next, *it##_next = it->next; it != (head);                           \
         it = it##_next, it##_next = it->next)

#endif
