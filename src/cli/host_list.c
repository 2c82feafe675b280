/* Lists of hosts. Their texts become words of a command line: only characters that names, addresses and user
 * names have are taken, and none that begins with a dash. */
#include "cli/host_list.h"

#include "node/client.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *host_name(const struct host *h) {
    const char *at = strrchr(h->destination, '@');
    return at ? at + 1 : h->destination;
}

static bool is_plain(const char *text) {
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-:@%[]", *p)) return false;
    return *text && *text != '-';
}

static bool take_port(struct host *h, const char *port) {
    size_t n = strlen(port);
    if (n == 0 || n >= sizeof h->port || strspn(port, "0123456789") != n) return false;
    long number = strtol(port, NULL, 10);
    if (number < 1 || number > 65535) return false;
    strcpy(h->port, port);
    return true;
}

/* [ADDRESS] or [ADDRESS]:PORT, at the host's part of destination. */
static bool split_brackets(struct host *h, char *name) {
    char *end = strchr(name, ']');
    if (!end || (end[1] && end[1] != ':')) return false;
    bool good = !end[1] || take_port(h, end + 2);
    *end = 0;
    memmove(name, name + 1, (size_t)(end - name));
    return good;
}

static bool parse(const char *text, struct host *h) {
    *h = (struct host){0};
    if (strlen(text) >= sizeof h->text || !is_plain(text)) return false;
    strcpy(h->text, text);
    strcpy(h->destination, text);
    char *at = strrchr(h->destination, '@'), *name = at ? at + 1 : h->destination;
    char *colon = strchr(name, ':');
    bool good = true;
    if (*name == '[') {
        good = split_brackets(h, name);
    } else if (colon && !strchr(colon + 1, ':')) { /* more than one: an IPv6 address alone */
        good = take_port(h, colon + 1);
        *colon = 0;
    }
    return good && *name && *name != '-' && at != h->destination && !strpbrk(name, "[]");
}

static bool add(struct host_list *l, const char *text) {
    struct host h;
    if (!parse(text, &h)) {
        fprintf(stderr, "weft: \"%s\" is no host: HOST, USER@HOST, HOST:PORT or USER@HOST:PORT is wanted\n",
                text);
        return false;
    }
    for (unsigned i = 0; i < l->count; i++) {
        if (strcmp(l->hosts[i].text, text) != 0) continue;
        fprintf(stderr, "weft: the host %s is named twice\n", text);
        return false;
    }
    struct host *hosts = l->count < NODE_MAX ? reallocarray(l->hosts, l->count + 1, sizeof *hosts) : NULL;
    if (!hosts) {
        fprintf(stderr, "weft: a cluster has at most %d nodes\n", NODE_MAX);
        return false;
    }
    l->hosts = hosts;
    hosts[l->count++] = h;
    return true;
}

bool host_list_add(struct host_list *l, const char *text) {
    char *copy = strdup(text), *rest = copy;
    bool good = copy != NULL;
    for (char *one; good && (one = strsep(&rest, ","));) good = add(l, one);
    free(copy);
    return good;
}

bool host_list_add_file(struct host_list *l, const char *path) {
    FILE *f = fopen(path, "re");
    if (!f) {
        fprintf(stderr, "weft: cannot read the hosts file %s: %s\n", path, strerror(errno));
        return false;
    }
    char *line = NULL;
    size_t cap = 0;
    bool good = true;
    for (unsigned number = 1; good && getline(&line, &cap, f) > 0; number++) {
        char *text = line + strspn(line, " \t");
        text[strcspn(text, "#\r\n")] = 0;
        for (size_t n = strlen(text); n && isblank((unsigned char)text[n - 1]); n--) text[n - 1] = 0;
        if (!*text) continue;
        good = add(l, text);
        if (!good) fprintf(stderr, "weft: that is line %u of %s\n", number, path);
    }
    free(line);
    fclose(f);
    return good;
}

void host_list_free(struct host_list *l) {
    free(l->hosts);
    *l = (struct host_list){0};
}

/* With a port it may be a way to another machine. */
static bool is_self(const struct host *h, const char *self) {
    const char *name = host_name(h);
    size_t brief = strcspn(self, ".");
    if (*h->port || strchr(h->text, '@')) return false;
    return strcmp(name, self) == 0 || strcmp(name, "localhost") == 0 ||
           (strlen(name) == brief && strncmp(name, self, brief) == 0);
}

void host_list_drop_self(struct host_list *l, const char *self) {
    unsigned kept = 0;
    for (unsigned i = 0; i < l->count; i++) {
        if (is_self(&l->hosts[i], self))
            fprintf(stderr, "weft: %s is this host: node 0\n", l->hosts[i].text);
        else
            l->hosts[kept++] = l->hosts[i];
    }
    l->count = kept;
}
