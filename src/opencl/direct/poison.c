/* Direct: the marks of events; see poison.h. */
#include "opencl/direct/poison.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/map.h"

struct edge {
    struct edge *next;
    struct mark *to;
};

/* It goes when its end is known to be good, or is an error that nobody can ask for. All of it under the lock.
 */
struct mark {
    struct weft_list link; /* in resolve()'s list */
    cl_event event;        /* by which it is found; NULL: not at all */
    bool busy;             /* between begin and bind */
    cl_uint open;          /* ends that it waits for; of a user event: its own */
    cl_int status;         /* negative: its end, or what its end will be */
    struct edge *dependents;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct weft_map marks;    /* by event; lock */
static atomic_size_t mark_count; /* of marks: mostly there is none, and no lock to take */

static void forget_name(struct mark *m) {
    if (m->event) weft_map_remove(&marks, (uintptr_t)m->event);
    m->event = NULL;
    atomic_store(&mark_count, marks.count);
}

static bool give_name(struct mark *m, cl_event e) {
    if (weft_map_put(&marks, (uintptr_t)e, m)) return false;
    m->event = e;
    atomic_store(&mark_count, marks.count);
    return true;
}

static void drop_if_over(struct mark *m) {
    if (m->open || m->busy) return;
    if (m->status >= 0) forget_name(m);
    if (!m->event) free(m);
}

/* All that it waited for has ended: so its end is known, and what waits for it alone follows. */
static void resolve(struct mark *first) {
    struct weft_list todo, *it;
    weft_list_init(&todo);
    weft_list_push_back(&todo, &first->link);
    while ((it = weft_list_pop_front(&todo))) {
        struct mark *m = weft_list_entry(it, struct mark, link);
        for (struct edge *e = m->dependents, *next; e; e = next) {
            next = e->next;
            if (m->status < 0) e->to->status = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
            if (!--e->to->open) weft_list_push_back(&todo, &e->to->link);
            free(e);
        }
        m->dependents = NULL;
        drop_if_over(m);
    }
}

static struct mark *new_mark(void) {
    struct mark *m = calloc(1, sizeof *m);
    if (m) weft_list_init(&m->link);
    return m;
}

bool poison_add_user(cl_event e) {
    struct mark *m = new_mark();
    if (!m) return false;
    m->open = 1;
    pthread_mutex_lock(&lock);
    bool there = give_name(m, e);
    pthread_mutex_unlock(&lock);
    if (!there) free(m);
    return there;
}

void poison_set_user(cl_event e, cl_int status) {
    pthread_mutex_lock(&lock);
    struct mark *m = weft_map_get(&marks, (uintptr_t)e);
    if (m && m->open) {
        m->open = 0;
        m->status = status;
        resolve(m);
    }
    pthread_mutex_unlock(&lock);
}

static bool add_source(struct mark *m, struct mark *source) {
    if (!source->open) {
        m->status = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
        return true;
    }
    struct edge *e = malloc(sizeof *e);
    if (!e) return false;
    *e = (struct edge){source->dependents, m};
    source->dependents = e;
    m->open++;
    return true;
}

cl_int poison_begin(cl_uint count, const bk_ref *waits, struct mark **out) {
    struct mark *m = NULL;
    bool good = true;
    *out = NULL;
    if (!count || !atomic_load(&mark_count)) return CL_SUCCESS;
    pthread_mutex_lock(&lock);
    for (cl_uint i = 0; i < count && good; i++) {
        struct mark *source = weft_map_get(&marks, waits[i]);
        if (!source) continue;
        if (!m) m = new_mark();
        if (m) m->busy = true;
        good = m && add_source(m, source);
    }
    pthread_mutex_unlock(&lock);
    if (good)
        *out = m;
    else
        poison_bind(m, NULL);
    return good ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

cl_int poison_bind(struct mark *m, cl_event e) {
    if (!m) return CL_COMPLETE;
    pthread_mutex_lock(&lock);
    cl_int status = m->open ? CL_COMPLETE : m->status;
    m->busy = false;
    if (e && (m->open || m->status < 0))
        give_name(m, e); /* else, without memory, it is as if all were well */
    drop_if_over(m);
    pthread_mutex_unlock(&lock);
    return status;
}

cl_int poison_status(cl_event e) {
    if (!atomic_load(&mark_count)) return CL_COMPLETE;
    pthread_mutex_lock(&lock);
    struct mark *m = weft_map_get(&marks, (uintptr_t)e);
    cl_int status = m ? m->status : CL_COMPLETE;
    pthread_mutex_unlock(&lock);
    return status;
}

void poison_forget(cl_event e) {
    if (!atomic_load(&mark_count)) return;
    pthread_mutex_lock(&lock);
    struct mark *m = weft_map_get(&marks, (uintptr_t)e);
    if (m) {
        forget_name(m);
        drop_if_over(m);
    }
    pthread_mutex_unlock(&lock);
}
