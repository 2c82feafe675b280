/* Windows: see the design notes in shm_window.h. */
#include "adapter/shm_window.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#define HUGE_PAGE  ((size_t)2 << 20)
#define VIEWS_MAX  1024u
#define VIEW_BYTES ((uint64_t)1 << 42) /* largest that is mapped */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* At an address that huge pages can use. */
static void *map_aligned(int fd, size_t bytes, int protection) {
    if (bytes < HUGE_PAGE) return mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    uint8_t *room = mmap(NULL, bytes + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return MAP_FAILED;
    uint8_t *at = room + (HUGE_PAGE - (uintptr_t)room % HUGE_PAGE) % HUGE_PAGE;
    if (at > room) munmap(room, (size_t)(at - room));
    munmap(at + bytes, (size_t)(room + HUGE_PAGE - at));
    void *p = mmap(at, bytes, protection, MAP_SHARED | MAP_FIXED, fd, 0);
    if (p == MAP_FAILED) munmap(at, bytes);
    return p;
}

/* -- the owner -- */

void shm_windows_init(struct shm_windows *w) {
    pthread_mutex_init(&w->lock, NULL);
    weft_list_init(&w->list);
    w->next_id = 1;
}

void shm_windows_fini(struct shm_windows *w) {
    for (struct weft_list *n; (n = weft_list_pop_front(&w->list));)
        shm_window_destroy(weft_list_entry(n, struct shm_window, node));
    pthread_mutex_destroy(&w->lock);
}

/* All pages are there before it is sealed: afterwards none can be taken out. Where the system can (Linux 6.1 and
 * later) they are made huge ones first, whatever it does with memory objects otherwise: a reader that maps them
 * gets huge pages too. */
static bool fill(struct shm_window *window) {
    if (ftruncate(window->fd, (off_t)window->bytes) || fallocate(window->fd, 0, 0, (off_t)window->bytes))
        return false;
    window->memory = map_aligned(window->fd, window->bytes, PROT_READ | PROT_WRITE);
    if (window->memory == MAP_FAILED) return false;
    if (window->bytes >= HUGE_PAGE) madvise(window->memory, window->bytes, MADV_COLLAPSE);
    madvise(window->memory, window->bytes, MADV_POPULATE_WRITE);
    if (!fcntl(window->fd, F_ADD_SEALS, SEALS)) return true;
    munmap(window->memory, window->bytes);
    return false;
}

struct shm_window *shm_window_create(struct shm_windows *w, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (bytes == 0 || bytes > VIEW_BYTES) return NULL;
    struct shm_window *window = calloc(1, sizeof *window);
    if (!window) return NULL;
    weft_list_init(&window->node);
    window->bytes = (bytes + page - 1) / page * page;
    window->fd = memfd_create("weft-window", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (window->fd < 0 || !fill(window)) {
        weft_info("shm", "no window of %zu bytes: %m", bytes);
        if (window->fd >= 0) close(window->fd);
        free(window);
        return NULL;
    }
    pthread_mutex_lock(&w->lock);
    window->id = w->next_id++;
    weft_list_push_front(&w->list, &window->node);
    pthread_mutex_unlock(&w->lock);
    return window;
}

struct shm_window *shm_window_take_out(struct shm_windows *w, const void *memory) {
    struct shm_window *found = NULL;
    pthread_mutex_lock(&w->lock);
    weft_list_for_each_safe(it, &w->list) {
        struct shm_window *window = weft_list_entry(it, struct shm_window, node);
        if (window->memory != memory) continue;
        weft_list_remove(it);
        found = window;
    }
    pthread_mutex_unlock(&w->lock);
    return found;
}

void shm_window_destroy(struct shm_window *window) {
    munmap(window->memory, window->bytes);
    close(window->fd);
    free(window);
}

bool shm_window_find(struct shm_windows *w, const void *ptr, size_t len, uint32_t *id, uint64_t *offset,
                     int *fd, uint64_t *bytes) {
    bool found = false;
    pthread_mutex_lock(&w->lock);
    weft_list_for_each(it, &w->list) {
        const struct shm_window *window = weft_list_entry(it, struct shm_window, node);
        uintptr_t at = (uintptr_t)ptr - (uintptr_t)window->memory;
        if ((uintptr_t)ptr < (uintptr_t)window->memory || at > window->bytes || len > window->bytes - at)
            continue;
        *id = window->id;
        *offset = at;
        *fd = window->fd;
        *bytes = window->bytes;
        found = true;
        break;
    }
    pthread_mutex_unlock(&w->lock);
    return found;
}

/* -- the reader -- */

void shm_views_init(struct shm_views *v) {
    pthread_mutex_init(&v->lock, NULL);
    weft_list_init(&v->list);
    v->count = 0;
}

static void view_free(struct shm_views *v, struct shm_view *view) {
    weft_list_remove(&view->node);
    v->count--;
    munmap((void *)(uintptr_t)view->memory, view->bytes);
    free(view);
}

void shm_views_fini(struct shm_views *v) {
    while (!weft_list_empty(&v->list)) view_free(v, weft_list_entry(v->list.next, struct shm_view, node));
    pthread_mutex_destroy(&v->lock);
}

static struct shm_view *find(struct shm_views *v, uint32_t id) {
    weft_list_for_each(it, &v->list) {
        struct shm_view *view = weft_list_entry(it, struct shm_view, node);
        if (view->id == id && !view->gone) return view;
    }
    return NULL;
}

static const char *check(uint64_t bytes, int fd) {
    struct stat st;
    if (bytes == 0 || bytes > VIEW_BYTES) return "an impossible size";
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) return "no memory object";
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS) return "seals are missing";
    if ((uint64_t)st.st_size != bytes) return "not of the size that was said";
    return (uint64_t)st.st_blocks * 512 < bytes ? "pages are missing" : NULL;
}

const char *shm_view_add(struct shm_views *v, uint32_t id, uint64_t bytes, int fd) {
    const char *why = check(bytes, fd);
    if (why) return why;
    struct shm_view *view = calloc(1, sizeof *view);
    if (!view) return "no memory";
    void *p = map_aligned(fd, bytes, PROT_READ);
    if (p == MAP_FAILED) {
        free(view);
        return "it cannot be mapped";
    }
    *view = (struct shm_view){.id = id, .memory = p, .bytes = bytes};
    weft_list_init(&view->node);
    pthread_mutex_lock(&v->lock);
    if (v->count == VIEWS_MAX)
        why = "too many";
    else if (find(v, id))
        why = "its number is taken";
    else {
        weft_list_push_front(&v->list, &view->node);
        v->count++;
    }
    pthread_mutex_unlock(&v->lock);
    if (!why) return NULL;
    munmap(p, bytes);
    free(view);
    return why;
}

void shm_view_remove(struct shm_views *v, uint32_t id) {
    pthread_mutex_lock(&v->lock);
    struct shm_view *view = find(v, id);
    if (view && view->readers)
        view->gone = true;
    else if (view)
        view_free(v, view);
    pthread_mutex_unlock(&v->lock);
}

struct shm_view *shm_view_hold(struct shm_views *v, uint32_t id, uint64_t offset, uint64_t len) {
    pthread_mutex_lock(&v->lock);
    struct shm_view *view = find(v, id);
    if (view && (offset > view->bytes || len > view->bytes - offset)) view = NULL;
    if (view) view->readers++;
    pthread_mutex_unlock(&v->lock);
    return view;
}

void shm_view_release(struct shm_views *v, struct shm_view *view) {
    pthread_mutex_lock(&v->lock);
    if (--view->readers == 0 && view->gone) view_free(v, view);
    pthread_mutex_unlock(&v->lock);
}
