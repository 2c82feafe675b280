/* The names of a node: a list, since they are few and looked up when programs start. */
#include "node/name.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

struct name {
    struct weft_list node;
    uint32_t process;
    char text[NODE_PUBLISHED_MAX];
};

void node_names_init(struct node_names *names) {
    weft_list_init(&names->all);
    names->count = 0;
}

static void drop(struct node_names *names, struct name *n) {
    weft_list_remove(&n->node);
    names->count--;
    free(n);
}

void node_names_fini(struct node_names *names) {
    weft_list_for_each_safe(it, &names->all) drop(names, weft_list_entry(it, struct name, node));
}

static struct name *find(const struct node_names *names, const char *text) {
    weft_list_for_each(it, &names->all) {
        struct name *n = weft_list_entry(it, struct name, node);
        if (strcmp(n->text, text) == 0) return n;
    }
    return NULL;
}

static uint32_t held_by(const struct node_names *names, uint32_t process) {
    uint32_t held = 0;
    weft_list_for_each(it, &names->all) held += weft_list_entry(it, struct name, node)->process == process;
    return held;
}

int node_names_publish(struct node_names *names, uint32_t process, const char *text) {
    size_t len = strlen(text);
    if (process == 0 || len == 0 || len >= NODE_PUBLISHED_MAX) return WEFT_E_INVAL;
    struct name *n = find(names, text);
    if (n) return n->process == process ? WEFT_OK : WEFT_E_EXIST;
    if (names->count >= NODE_NAMES_MAX || held_by(names, process) >= NODE_NAMES_PROCESS_MAX)
        return WEFT_E_LIMIT;
    n = malloc(sizeof *n);
    if (!n) return WEFT_E_NOMEM;
    n->process = process;
    memcpy(n->text, text, len + 1);
    weft_list_push_back(&names->all, &n->node);
    names->count++;
    return WEFT_OK;
}

int node_names_withdraw(struct node_names *names, uint32_t process, const char *text) {
    struct name *n = find(names, text);
    if (!n || n->process != process) return WEFT_E_NOENT;
    drop(names, n);
    return WEFT_OK;
}

void node_names_withdraw_all(struct node_names *names, uint32_t process) {
    weft_list_for_each_safe(it, &names->all) {
        struct name *n = weft_list_entry(it, struct name, node);
        if (n->process == process) drop(names, n);
    }
}

uint32_t node_names_holder(const struct node_names *names, const char *text) {
    const struct name *n = find(names, text);
    return n ? n->process : 0;
}
