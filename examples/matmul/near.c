/* Which block a node had best take next: where operands stay on a node once they are there, a block whose
 * rows and columns the node has had needs no data. Blocks that are near to what a node did so cost less than
 * those that come next: a node that does 12 of 64 needs 7 strips of A and B instead of all 16. */
#include "matmul.h"
#include <stdlib.h>

#define SIDE_MAX 64 /* all blocks are looked at for each that is taken */

struct near {
    int side;
    bool taken[SIDE_MAX][SIDE_MAX];
    struct has {
        bool row[SIDE_MAX], col[SIDE_MAX];
        int rows, cols;
    } * node;
    unsigned node_count;
    int row_nodes[SIDE_MAX], col_nodes[SIDE_MAX]; /* how many have it */
};

struct near *near_create(const struct job *j) {
    if (j->blocks_a_side > SIDE_MAX) return NULL;
    struct near *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    n->side = j->blocks_a_side;
    return n;
}

void near_destroy(struct near *n) {
    if (n) free(n->node);
    free(n);
}

/* What a block costs the node: strips that it has not had; then the longer side of what it has, so that this
 * stays square; then how many others have them, who may want the block more. */
static int cost(const struct near *n, const struct has *h, int row, int col) {
    int strips = !h->row[row] + !h->col[col];
    int longer = (!h->row[row] && h->rows > h->cols) || (!h->col[col] && h->cols > h->rows);
    int others = n->row_nodes[row] - h->row[row] + n->col_nodes[col] - h->col[col];
    return (strips * 2 + longer) * 2 * SIDE_MAX * SIDE_MAX + others;
}

static struct has *of_node(struct near *n, unsigned node) {
    if (node < n->node_count) return &n->node[node];
    struct has *more = realloc(n->node, (node + 1) * sizeof *more);
    if (!more) return NULL;
    for (unsigned i = n->node_count; i <= node; i++) more[i] = (struct has){0};
    n->node = more;
    n->node_count = node + 1;
    return &more[node];
}

static void note(struct near *n, struct has *h, int row, int col) {
    n->taken[row][col] = true;
    if (!h->row[row]) h->rows++, n->row_nodes[row]++;
    if (!h->col[col]) h->cols++, n->col_nodes[col]++;
    h->row[row] = h->col[col] = true;
}

uint64_t near_take(struct near *n, unsigned node) {
    static const struct has nothing;
    struct has *h = of_node(n, node);
    int best = -1, row = 0, col = 0;
    for (int i = 0; i < n->side * n->side; i++) {
        int r = i / n->side, c = i % n->side;
        if (n->taken[r][c]) continue;
        int costs = cost(n, h ? h : &nothing, r, c);
        if (best >= 0 && costs >= best) continue;
        best = costs;
        row = r;
        col = c;
    }
    if (h)
        note(n, h, row, col);
    else
        n->taken[row][col] = true;
    return (uint64_t)row * (uint64_t)n->side + (uint64_t)col;
}
