/* Tables and views. `inside`, `edge` and `root` are made when the tables are filled (layout.c), since the
 * recursive questions go through them once a step.
 *
 * DESIGN NOTE. Ways: a link is a step in both directions. What is contained is reached from its container and
 * back without cost, with three exceptions, in which that would pass by a link: a device that has links is
 * not entered or left so; neither is what is linked to a neighbour, in a container that is linked to its own
 * contents; and whoever is linked to a neighbour does not get to any by going up and down again. Resources: a
 * resource is used by everything inside its `root`s: itself, who shares it, a link's two ends, what a memory
 * stands in. */
#include "model/rules.h"

#include <stddef.h>

/* SQL has lines of its own. */
/* clang-format off */

const char model_tables[] =
    "CREATE TABLE entity(id TEXT PRIMARY KEY, kind TEXT, class TEXT, parent TEXT, end_a TEXT, end_b TEXT,"
    "  latency_s REAL, bandwidth_Bps REAL, capacity_B REAL, note TEXT) WITHOUT ROWID;"
    "CREATE TABLE property(entity TEXT, name TEXT, value TEXT);"
    "CREATE TABLE observation(entity TEXT, attribute TEXT, value REAL, unit TEXT, low REAL, high REAL, n REAL,"
    "  statistic TEXT, source TEXT, rank INTEGER, reference TEXT, place TEXT, tool TEXT, time TEXT, note TEXT,"
    "  op TEXT, pattern TEXT, type TEXT, accessor TEXT, circumstance TEXT,"
    "  size_B REAL, stride_B REAL, threads REAL, load REAL, connections REAL);"
    "CREATE TABLE curve(entity TEXT, attribute TEXT, over TEXT, form TEXT, unit TEXT, low REAL, high REAL,"
    "  fit_error REAL, held_out_error REAL, source TEXT, reference TEXT, place TEXT, op TEXT, note TEXT);"
    "CREATE TABLE relation(a TEXT, relation TEXT, b TEXT, domain TEXT);"
    "CREATE TABLE reference(key TEXT PRIMARY KEY, title TEXT, authors TEXT, year INTEGER, url TEXT);"
    "CREATE TABLE inside(entity TEXT, ancestor TEXT, depth INTEGER);"
    "CREATE TABLE edge(a TEXT, b TEXT, link TEXT, step TEXT, linked INTEGER, passes INTEGER, latency_s REAL,"
    "  bandwidth_Bps REAL, narrowest TEXT, unknown INTEGER);"
    "CREATE TABLE root(resource TEXT, top TEXT, why TEXT);";

/* Rates are compared by their largest value, times by their smallest: a source's best case. */
#define CLAIMS                                                                                                         \
    "SELECT entity, attribute, unit, source, rank, op, pattern, type, accessor,"                                      \
    "  CASE WHEN unit IN ('B/s', 'op/s', '1/s') THEN max(value) ELSE min(value) END AS value, reference, tool, place" \
    "  FROM observation WHERE attribute <> 'leak'"                                                                   \
    "  GROUP BY entity, attribute, source, op, pattern, type, accessor"

const char model_rules[] =
    "CREATE INDEX property_entity ON property(entity);"
    "CREATE INDEX observation_entity ON observation(entity, attribute);"
    "CREATE INDEX curve_entity ON curve(entity);"
    "CREATE INDEX relation_a ON relation(a);"
    "CREATE INDEX relation_b ON relation(b);"
    "CREATE INDEX inside_entity ON inside(entity);"
    "CREATE INDEX inside_ancestor ON inside(ancestor);"
    "CREATE INDEX edge_a ON edge(a);"
    "INSERT INTO root SELECT b, a, 'shares' FROM relation WHERE relation = 'shares';"
    "CREATE INDEX root_resource ON root(resource);"
    "CREATE INDEX root_top ON root(top);"
    /* What uses what, and why. */
    "CREATE VIEW uses AS SELECT i.entity, r.resource, r.why FROM inside i JOIN root r ON r.top = i.ancestor"
    "  WHERE r.resource <> i.entity;"
    "INSERT INTO root SELECT u.resource, r.b, 'runs on ' || r.a FROM relation r JOIN uses u ON u.entity = r.a"
    "  WHERE r.relation = 'runs';"
    "INSERT INTO root SELECT a, b, 'runs' FROM relation WHERE relation = 'runs';"
    "INSERT INTO root SELECT r.a, x.end_a, 'data ' || r.b FROM relation r JOIN entity x"
    "  ON x.kind = 'access' AND x.end_b = r.b WHERE r.relation = 'places';"
    /* The best observation of each attribute and operation. */
    "CREATE VIEW best AS SELECT entity, attribute, op, value, unit, source, reference, tool FROM ("
    "  SELECT *, row_number() OVER (PARTITION BY entity, attribute, op ORDER BY rank,"
    "  (pattern IS NOT NULL) + (type IS NOT NULL) + (accessor IS NOT NULL) + (circumstance IS NOT NULL) + (size_B IS NOT NULL)"
    "  + (stride_B IS NOT NULL) + (threads IS NOT NULL) + (load IS NOT NULL) + (connections IS NOT NULL), time DESC) AS place_in_order"
    "  FROM observation) WHERE place_in_order = 1;"
    /* Two sources of different rank that say different things of the same: by how much. */
    "CREATE VIEW disagreement AS WITH claim AS MATERIALIZED (" CLAIMS ")"
    "  SELECT a.entity, a.attribute, a.op, a.value AS value, a.source AS source, b.value AS other,"
    "    b.source AS other_source, a.unit, max(a.value, b.value) / min(a.value, b.value) AS ratio,"
    "    a.reference AS reference, b.reference AS other_reference"
    "  FROM claim a JOIN claim b ON a.entity = b.entity AND a.attribute = b.attribute AND a.rank < b.rank"
    "    AND (a.op IS b.op OR a.op IS NULL OR b.op IS NULL)"
    "    AND (a.pattern IS b.pattern OR a.pattern IS NULL OR b.pattern IS NULL)"
    "    AND (a.type IS b.type OR a.type IS NULL OR b.type IS NULL)"
    "    AND (a.accessor IS b.accessor OR a.accessor IS NULL OR b.accessor IS NULL)"
    "  WHERE max(a.value, b.value) > 1.25 * min(a.value, b.value)"
    /* And two of one rank, neither of which is better: under one condition, in statistics that say the same. */
    "  UNION ALL SELECT a.entity, a.attribute, a.op, a.value, a.source, b.value, b.source, a.unit,"
    "    max(a.value, b.value) / min(a.value, b.value), a.reference, b.reference"
    "  FROM observation a JOIN observation b ON a.entity = b.entity AND a.attribute = b.attribute AND a.rank = b.rank"
    "    AND a.rowid < b.rowid AND a.op IS b.op AND a.pattern IS b.pattern AND a.type IS b.type"
    "    AND a.accessor IS b.accessor AND a.circumstance IS b.circumstance AND a.size_B IS b.size_B"
    "    AND a.stride_B IS b.stride_B AND a.threads IS b.threads AND a.load IS b.load AND a.connections IS b.connections"
    "    AND (a.statistic IS b.statistic OR (coalesce(a.statistic, 'typical') IN ('median', 'mean', 'typical')"
    "      AND coalesce(b.statistic, 'typical') IN ('median', 'mean', 'typical')))"
    "  WHERE a.attribute <> 'leak' AND max(a.value, b.value) > 1.25 * min(a.value, b.value);"
    /* Resources through which what is done on one side can be heard on the other. */
    "CREATE VIEW leaky AS SELECT entity AS resource, max(value) * 8 AS leak_bps, source, reference FROM observation"
    "  WHERE attribute = 'leak' AND value > 0 GROUP BY entity;"
    "CREATE VIEW no_share AS SELECT DISTINCT u.entity AS a, v.entity AS b, l.resource, l.leak_bps FROM leaky l"
    "  JOIN uses u ON u.resource = l.resource JOIN uses v ON v.resource = l.resource"
    "  JOIN entity e ON e.id = u.entity JOIN entity f ON f.id = v.entity"
    "  WHERE u.entity < v.entity AND e.kind = f.kind AND e.kind IN ('compute', 'task');"
    /* What a placement has to respect and does not: by the units that run the tasks. */
    "CREATE VIEW host_of AS SELECT r.b AS task, i.ancestor AS host FROM relation r JOIN inside i ON i.entity = r.a"
    "  JOIN entity e ON e.id = i.ancestor WHERE r.relation = 'runs' AND e.kind = 'node' AND e.class = 'host';"
    "CREATE VIEW broken AS SELECT DISTINCT c.id AS rule, c.class AS what, c.end_a AS a, c.end_b AS b, l.resource AS place"
    "  FROM entity c JOIN uses u ON u.entity = c.end_a JOIN leaky l ON l.resource = u.resource"
    "  JOIN uses v ON v.resource = u.resource AND v.entity = c.end_b WHERE c.kind = 'constraint' AND c.class = 'no_share'"
    "  UNION ALL SELECT c.id, c.class, c.end_a, c.end_b, p.host FROM entity c JOIN host_of p ON p.task = c.end_a"
    "  JOIN host_of q ON q.task = c.end_b WHERE c.kind = 'constraint'"
    "  AND ((c.class = 'apart' AND p.host = q.host) OR (c.class = 'together' AND p.host <> q.host));"
    /* Numbers that nobody has measured or published. */
    "CREATE VIEW guess AS SELECT entity, attribute, value, unit, source, note FROM observation"
    "  WHERE source IN ('assumed', 'inferred');";

/* Everything that is reached from ?1 in at most ?3 steps, the nearest first: a bound on how much is looked at leaves out
 * what is far. */
#define REACH(where, limit)                                                                                             \
    "WITH RECURSIVE reach(at, step, linked, passes, latency_s, bandwidth_Bps, narrowest, unknown, hops, path) AS ("   \
    "  SELECT id, '', 0, 1, CASE WHEN kind = 'memory' THEN coalesce(latency_s, 0) ELSE 0.0 END,"                      \
    "    CASE WHEN kind = 'memory' THEN bandwidth_Bps END, CASE WHEN kind = 'memory' THEN id END, 0, 0, id"           \
    "  FROM entity WHERE id = ?1"                                                                                     \
    "  UNION ALL"                                                                                                     \
    "  SELECT e.b, e.step, e.linked, e.passes, r.latency_s + coalesce(e.latency_s, 0),"                               \
    "    min(coalesce(r.bandwidth_Bps, e.bandwidth_Bps), coalesce(e.bandwidth_Bps, r.bandwidth_Bps)),"                \
    "    CASE WHEN r.bandwidth_Bps IS NULL OR e.bandwidth_Bps < r.bandwidth_Bps THEN e.narrowest"                     \
    "      ELSE r.narrowest END,"                                                                                     \
    "    r.unknown + e.unknown, r.hops + 1, r.path || ' > ' || e.b"                                                   \
    "  FROM reach r JOIN edge e ON e.a = r.at"                                                                        \
    "  WHERE r.passes AND r.hops < coalesce(?3, 16) AND NOT (r.step = 'up' AND r.linked AND e.step = 'down')"         \
    "    AND instr('> ' || r.path || ' >', '> ' || e.b || ' >') = 0 " where                                           \
    "  ORDER BY 5, 9 " limit ") "

/* What ?1 sees of a memory: an observation from a place that ?1 is in, the nearest first, or `local` where the memory is in
 * one with ?1 and `remote` where not, or from nowhere in particular; the best source before all that. */
#define SEEN(memory, attribute)                                                                                         \
    "(SELECT o.value FROM observation o LEFT JOIN inside i ON i.entity = ?1 AND i.ancestor = o.accessor"              \
    "  JOIN entity m ON m.id = o.entity WHERE o.entity = " memory " AND o.attribute = '" attribute "'"                \
    "  AND (o.accessor IS NULL OR i.depth IS NOT NULL OR o.accessor = CASE WHEN EXISTS (SELECT 1 FROM inside u"       \
    "    WHERE u.entity = ?1 AND u.ancestor = m.parent) THEN 'local' ELSE 'remote' END)"                              \
    "  ORDER BY o.rank, o.accessor IS NULL, coalesce(i.depth, 1000), (o.op IS NOT NULL) + (o.pattern IS NOT NULL)"    \
    "    + (o.type IS NOT NULL) + (o.circumstance IS NOT NULL) + (o.size_B IS NOT NULL) + (o.threads IS NOT NULL)"    \
    "    + (o.load IS NOT NULL), o.time DESC LIMIT 1)"
/* On the way lies the memory's own best figure, which is taken out again. */
#define SEEN_LATENCY   "min(r.latency_s) - coalesce(e.latency_s, 0) + coalesce(" SEEN("e.id", "latency") ", e.latency_s, 0)"
#define SEEN_BANDWIDTH "min(r.bandwidth_Bps, coalesce(" SEEN("e.id", "bandwidth") ", r.bandwidth_Bps))"

const struct model_question model_questions[] = {
    {"closest", "DEVICE [COUNT]", "the memories that are reached with the least latency", 1, 2, 1,
     REACH("", "LIMIT 50000") "SELECT r.at AS memory, e.class, " SEEN_LATENCY " AS latency_s, " SEEN_BANDWIDTH " AS bandwidth_Bps, r.narrowest,"
               " r.hops, r.unknown, r.path FROM reach r JOIN entity e ON e.id = r.at WHERE e.kind = 'memory' AND e.class IS NOT 'storage' AND r.at <> ?1"
               " GROUP BY r.at ORDER BY r.unknown > 0, latency_s, r.hops, r.at LIMIT coalesce(?2, 1)"},
    {"paths", "FROM TO [STEPS]", "every way from one entity to another, and what is narrowest on it", 2, 3, 2,
     REACH("AND r.at <> ?2", "") "SELECT latency_s, bandwidth_Bps, narrowest, unknown, hops, path FROM reach WHERE at = ?2"
                             " ORDER BY latency_s, hops"},
    {"shares", "ENTITY", "who uses a resource that it uses, and which", 1, 1, 1,
     "SELECT v.entity, group_concat(DISTINCT v.resource) AS resources, group_concat(DISTINCT v.why) AS why FROM uses u"
     " JOIN uses v ON v.resource = u.resource AND v.entity <> u.entity JOIN entity e ON e.id = v.entity"
     " WHERE u.entity = ?1 AND e.kind IN ('compute', 'task')"
     " AND NOT EXISTS (SELECT 1 FROM inside i WHERE i.entity = v.entity AND i.ancestor = ?1)"
     " GROUP BY v.entity ORDER BY count(DISTINCT v.resource) DESC, v.entity"},
    {"disagreements", "[RATIO]", "where two sources disagree, as measurement and data sheet", 0, 1, 0,
     "SELECT entity, attribute, op, value, source, other, other_source, unit, ratio, reference, other_reference"
     " FROM disagreement WHERE ratio > coalesce(?1, 1.25) ORDER BY ratio DESC"},
    {"leaks", "", "resources that leak, and who must not share them", 0, 0, 0,
     "SELECT l.resource, l.leak_bps, l.source, count(DISTINCT u.entity) AS users,"
     " group_concat(DISTINCT u.entity) AS must_not_share FROM leaky l LEFT JOIN"
     " (SELECT u.entity, u.resource FROM uses u JOIN entity e ON e.id = u.entity WHERE e.kind IN ('compute', 'task')) u"
     " ON u.resource = l.resource GROUP BY l.resource ORDER BY l.leak_bps DESC"},
    {"broken", "", "constraints that the placement in the model breaks, and where", 0, 0, 0,
     "SELECT rule, what, a, b, place FROM broken ORDER BY rule, place"},
    {"memories", "", "all memories with what is known of them", 0, 0, 0,
     "SELECT id, class, capacity_B, latency_s, bandwidth_Bps, parent FROM entity WHERE kind = 'memory' ORDER BY id"},
    {"inside", "ENTITY", "everything that it contains", 1, 1, 1,
     "SELECT i.entity, e.kind, e.class, i.depth FROM inside i JOIN entity e ON e.id = i.entity"
     " WHERE i.ancestor = ?1 AND i.depth > 0 ORDER BY i.depth, i.entity"},
    {"guesses", "", "numbers that are assumed or inferred", 0, 0, 0,
     "SELECT entity, attribute, value, unit, source, note FROM guess ORDER BY entity, attribute"},
    {NULL, NULL, NULL, 0, 0, 0, NULL},
};
