/* weft/model.h: a model of machines and of the applications that run on them.
 *
 * A model is a graph. ENTITIES (a memory, a buffer in front of it, a link, a task, …) have a kind, a class and a place in
 * a tree of containment; RELATIONS join them; every number about one is an OBSERVATION, which says under which condition
 * it holds, in which statistic, and where it comes from: measured, read from the operating system, a data sheet, the
 * literature, inferred, assumed. All observations are kept; the best source answers, and a disagreement is told. CURVES
 * say how a number depends on another (latency on the working set, bandwidth on the threads), with the error of the fit.
 *
 * Read from top to bottom: what a model consists of, how it is made, read and written, how it is asked on a hot path.
 * docs/MODEL.md has the picture, the file's form and the questions that are asked in SQL.
 *
 * Link with -lweft_model (pkg-config weft_model); predictors and placements are not in that library, but in the command `weft`.
 *
 *     weft_model_create(&m);
 *     if (weft_model_load(m, "cluster.json", &fault)) puts(fault.reason);
 *     dram = weft_model_find(m, "n0.dram");
 *     o = weft_model_best(m, dram, WEFT_MODEL_LATENCY, NULL);      o->value is in seconds
 *     weft_model_destroy(m);
 *
 * UNITS are SI inside: seconds, bytes, bytes a second, operations a second, watts. A file says its unit beside each number.
 * THREADS. Nothing here locks. Any number of threads may read a model that no thread changes.
 * ERRORS. 0 is success, negative values are those of weft.h; what is wrong with a file stands in `struct weft_model_fault`.
 * References (weft_model_ref) are indices into the model's arrays, valid until the model is changed. */
#ifndef WEFT_MODEL_H
#define WEFT_MODEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What there is: kinds, classes, attributes ------------------------------------------------------------------ */

/* X(name in C, name in files, what it is, its classes). The first are hardware, those from TASK on an application. */
#define WEFT_MODEL_KINDS(X)                                                                                            \
    X(NODE, "node", "a place that contains others", "host cluster rack switch package die group module")              \
    X(COMPUTE, "compute", "what computes or moves data", "core thread gpu accelerator fpga pim dma nic")              \
    X(MEMORY, "memory", "what keeps data", "dram hbm nvm cxl gpu scratch storage")                                    \
    X(BUFFER, "buffer", "what stands in front of a memory or device", "cache wc rmw ait tlb conn msg")                \
    X(QUEUE, "queue", "where requests wait", "request write completion command")                                      \
    X(LINK, "link", "a way between two entities", "bus fabric network pcie cxl membus")                               \
    X(SERVICE, "service", "a transport path between two entities, as software sees it", "shm udp ofi tcp rdma opencl")\
    X(TASK, "task", "a piece of work", "")                                                                             \
    X(OBJECT, "object", "data of the application", "")                                                                 \
    X(ACCESS, "access", "a task's use of an object: ends are the task and the object", "")                            \
    X(FLOW, "flow", "messages from one task to another", "")                                                           \
    X(INTERACT, "interact", "two tasks that wait for each other", "lock barrier queue")                                \
    X(CONSTRAINT, "constraint", "what a placement has to respect", "no_share apart together")

enum weft_model_kind {
#define X(name, text, help, classes) WEFT_MODEL_##name,
    WEFT_MODEL_KINDS(X)
#undef X
    WEFT_MODEL_KINDS_COUNT
};

/* What a number is; its unit in SI. */
enum weft_model_dimension {
    WEFT_MODEL_DIM_COUNT,        /* a pure number */
    WEFT_MODEL_DIM_TIME,         /* s */
    WEFT_MODEL_DIM_SIZE,         /* B */
    WEFT_MODEL_DIM_RATE,         /* B/s; bits count as eighths */
    WEFT_MODEL_DIM_TIME_PER_SIZE,/* s/B */
    WEFT_MODEL_DIM_FREQUENCY,    /* 1/s: clocks, messages, events */
    WEFT_MODEL_DIM_WORK,         /* op */
    WEFT_MODEL_DIM_WORK_RATE,    /* op/s */
    WEFT_MODEL_DIM_POWER,        /* W */
    WEFT_MODEL_DIM_ENERGY,       /* J */
    WEFT_MODEL_DIMS_COUNT
};

/* X(name in C, name in files, dimension, kinds that have it (bits), what it is). None is negative. */
#define WEFT_MODEL_BIT(kind) (1u << WEFT_MODEL_##kind)
#define WEFT_MODEL_STORES    (WEFT_MODEL_BIT(MEMORY) | WEFT_MODEL_BIT(BUFFER))
#define WEFT_MODEL_CARRIES   (WEFT_MODEL_BIT(LINK) | WEFT_MODEL_BIT(SERVICE))
#define WEFT_MODEL_HARDWARE  (WEFT_MODEL_BIT(TASK) - 1)
#define WEFT_MODEL_ATTRIBUTES(X)                                                                                       \
    X(CAPACITY, "capacity", SIZE, WEFT_MODEL_STORES, "bytes that it holds")                                            \
    X(GRANULE, "granule", SIZE, WEFT_MODEL_BIT(MEMORY), "what it reads or writes at once inside")                      \
    X(ALIGN, "align", SIZE, WEFT_MODEL_BIT(MEMORY) | WEFT_MODEL_BIT(COMPUTE) | WEFT_MODEL_BIT(OBJECT),                 \
      "the alignment that it wants")                                                                                   \
    X(CHANNELS, "channels", COUNT, WEFT_MODEL_BIT(MEMORY), "channels or modules that are interleaved")                 \
    X(ENDURANCE, "endurance", COUNT, WEFT_MODEL_BIT(MEMORY), "writes to one place until it wears out")                 \
    X(ENDURANCE_BYTES, "endurance_bytes", SIZE, WEFT_MODEL_BIT(MEMORY), "bytes written until it wears out")            \
    X(LINE, "line", SIZE, WEFT_MODEL_BIT(BUFFER), "bytes of an entry")                                                 \
    X(ENTRIES, "entries", COUNT, WEFT_MODEL_BIT(BUFFER), "entries: connections, translations, pending writes")         \
    X(WAYS, "ways", COUNT, WEFT_MODEL_BIT(BUFFER), "associativity; 0: full")                                           \
    X(LATENCY, "latency", TIME, WEFT_MODEL_HARDWARE, "time of one access or crossing")                                 \
    X(BANDWIDTH, "bandwidth", RATE, WEFT_MODEL_HARDWARE, "bytes a second that can be sustained")                       \
    X(CLOCK, "clock", FREQUENCY, WEFT_MODEL_BIT(COMPUTE) | WEFT_MODEL_BIT(MEMORY), "its clock")                        \
    X(RATE, "rate", WORK_RATE, WEFT_MODEL_BIT(COMPUTE), "operations a second, by the condition's op and type")         \
    X(MESSAGE_RATE, "message_rate", FREQUENCY, WEFT_MODEL_BIT(COMPUTE) | WEFT_MODEL_CARRIES, "messages a second")      \
    X(UNITS, "units", COUNT, WEFT_MODEL_BIT(COMPUTE), "units that work at once: cores, compute units, DPUs")           \
    X(LANES, "lanes", COUNT, WEFT_MODEL_BIT(COMPUTE) | WEFT_MODEL_BIT(LINK), "operations at once; lanes of a link")    \
    X(SMT, "smt", COUNT, WEFT_MODEL_BIT(COMPUTE), "hardware threads that share one core")                              \
    X(PIPELINE, "pipeline", COUNT, WEFT_MODEL_BIT(COMPUTE), "threads that are needed to fill the pipeline")            \
    X(SMT_YIELD, "smt_yield", COUNT, WEFT_MODEL_BIT(COMPUTE), "throughput of all its threads over that of one")        \
    X(LAUNCH, "launch", TIME, WEFT_MODEL_BIT(COMPUTE), "time to start a kernel or an operation")                       \
    X(QUEUE_PAIRS, "queue_pairs", COUNT, WEFT_MODEL_BIT(COMPUTE), "queue pairs that it has")                           \
    X(POWER, "power", POWER, WEFT_MODEL_HARDWARE, "watts that it takes")                                               \
    X(DEPTH, "depth", COUNT, WEFT_MODEL_BIT(QUEUE), "requests that fit in")                                            \
    X(SERVERS, "servers", COUNT, WEFT_MODEL_BIT(QUEUE), "requests that are served at once")                            \
    X(SERVICE_TIME, "service_time", TIME, WEFT_MODEL_BIT(QUEUE), "time to serve one request")                          \
    X(OVERHEAD_SEND, "overhead_send", TIME, WEFT_MODEL_BIT(SERVICE), "LogGP o at the sender")                          \
    X(OVERHEAD_RECEIVE, "overhead_receive", TIME, WEFT_MODEL_BIT(SERVICE), "LogGP o at the receiver")                  \
    X(GAP, "gap", TIME, WEFT_MODEL_BIT(SERVICE), "LogGP g: time between two messages")                                 \
    X(GAP_PER_BYTE, "gap_per_byte", TIME_PER_SIZE, WEFT_MODEL_BIT(SERVICE), "LogGP G")                                 \
    X(NOTIFY, "notify", TIME, WEFT_MODEL_BIT(SERVICE), "time to notify, by the condition's op (the mechanism)")        \
    X(LEAK, "leak", RATE, WEFT_MODEL_HARDWARE, "what a covert channel over it carries: the resource must not be shared")\
    X(WORK, "work", WORK, WEFT_MODEL_BIT(TASK), "operations, by the condition's op and type")                          \
    X(DURATION, "duration", TIME, WEFT_MODEL_BIT(TASK), "time that it takes, by the condition's from: what runs it")   \
    X(WIDTH, "width", COUNT, WEFT_MODEL_BIT(TASK), "threads that it can use")                                          \
    X(BLOCKS, "blocks", COUNT, WEFT_MODEL_BIT(TASK), "independent blocks that it can be divided into")                 \
    X(SIZE, "size", SIZE, WEFT_MODEL_BIT(OBJECT) | WEFT_MODEL_BIT(FLOW), "bytes: of the object; of one message")       \
    X(READS, "reads", SIZE, WEFT_MODEL_BIT(ACCESS), "bytes that the task reads")                                       \
    X(WRITES, "writes", SIZE, WEFT_MODEL_BIT(ACCESS), "bytes that the task writes")                                    \
    X(REUSE, "reuse", COUNT, WEFT_MODEL_BIT(ACCESS), "how often each byte is used")                                    \
    X(COUNT, "count", COUNT, WEFT_MODEL_BIT(FLOW) | WEFT_MODEL_BIT(INTERACT), "messages; how often they meet")         \
    X(EVENT_RATE, "event_rate", FREQUENCY, WEFT_MODEL_BIT(INTERACT) | WEFT_MODEL_BIT(FLOW), "how often in a second")

enum weft_model_attribute {
#define X(name, text, dimension, kinds, help) WEFT_MODEL_##name,
    WEFT_MODEL_ATTRIBUTES(X)
#undef X
    WEFT_MODEL_ATTRIBUTES_COUNT
};

/* The relations. `contains` is an entity's `parent` and `connects` a link's `ends`; the others are listed. X(name in C,
 * name in files, what it says of FROM and TO) */
#define WEFT_MODEL_RELATIONS(X)                                                                                        \
    X(ATTACHED, "attached", "FROM is plugged into TO: a NIC or a GPU into a package")                                  \
    X(BACKS, "backs", "FROM is what TO is filled from: a memory backs its cache")                                      \
    X(SERVES, "serves", "FROM does the work for TO: a queue or a DMA engine for a memory or a link")                  \
    X(SHARES, "shares", "FROM uses the resource TO together with all others that do")                                  \
    X(RUNS, "runs", "the compute FROM runs the task TO")                                                               \
    X(PLACES, "places", "the memory FROM holds the object TO")

enum weft_model_relation_type {
#define X(name, text, help) WEFT_MODEL_##name,
    WEFT_MODEL_RELATIONS(X)
#undef X
    WEFT_MODEL_RELATIONS_COUNT
};

/* Where a number comes from, the best first. */
enum weft_model_source {
    WEFT_MODEL_MEASURED, WEFT_MODEL_OS, WEFT_MODEL_DATASHEET, WEFT_MODEL_LITERATURE, WEFT_MODEL_INFERRED,
    WEFT_MODEL_ASSUMED, WEFT_MODEL_SOURCES_COUNT
};

/* A curve's form, and its parameters in this order, in SI. y is the attribute, x what it depends on. */
enum weft_model_form {
    WEFT_MODEL_CONSTANT,   /* a                     y = a */
    WEFT_MODEL_AFFINE,     /* a b                   y = a + b x */
    WEFT_MODEL_SATURATING, /* a b c                 y = min(a + b x, c) */
    WEFT_MODEL_PIECEWISE,  /* x0 a0 b0 x1 a1 b1 …   y = ai + bi x for xi <= x < xi+1 */
    WEFT_MODEL_TIER,       /* L0 C1 D1 C2 D2 …      y = L0 + sum of Dk max(0, 1 - Ck / x) */
    WEFT_MODEL_QUEUE_FIFO, /* a s                   y = a + s (1 + x / (2 (1 - x))), x the utilisation (M/D/1) */
    WEFT_MODEL_QUEUE_PS,   /* a s                   y = a + s / (1 - x) (processor sharing) */
    WEFT_MODEL_TABLE,      /* x0 y0 x1 y1 …         straight lines between the points */
    WEFT_MODEL_FORMS_COUNT
};

/* ---- What a model consists of ------------------------------------------------------------------------------------ */

typedef uint32_t weft_model_ref; /* an index into one of the arrays below */
#define WEFT_MODEL_NONE UINT32_MAX

/* Text of the model: an offset into `text`, which begins with an empty string; equal strings have equal offsets. */
typedef uint32_t weft_model_text;

struct weft_model_entity {
    weft_model_text id, class_name, note; /* 0: none */
    uint8_t kind;                         /* enum weft_model_kind */
    weft_model_ref parent;                /* what contains it; WEFT_MODEL_NONE: nothing */
    weft_model_ref ends[2];               /* of a link, service, access, flow, interact, constraint; else NONE */
    /* From here on made by weft_model_settle. */
    weft_model_ref first_child, next_sibling;
    uint32_t first_observation, observations; /* a range of `observations`, by attribute */
    uint32_t first_curve, curves;
    uint32_t first_property, properties;
};

struct weft_model_property { weft_model_ref entity; weft_model_text name, value; };

struct weft_model_relation {
    uint8_t type;                      /* enum weft_model_relation_type */
    weft_model_ref from, to;
    weft_model_text domain;            /* of `shares`: what of it ("bandwidth", "buffer"); 0: all */
};

/* Under which condition a number holds. What is 0 or NAN is not said. */
struct weft_model_condition {
    weft_model_text op;                /* read, write, copy, triad, add, … */
    weft_model_text pattern;           /* sequential, stride, random, chase */
    weft_model_text type;              /* of the operands: int32, float64, … */
    weft_model_text from;              /* the id of the entity that accesses; or "local", "remote" */
    weft_model_text with;              /* what else holds, in words */
    double size_B, stride_B, threads, load, connections; /* NAN: not said; load from 0 to 1 */
};

struct weft_model_observation {
    weft_model_ref entity;
    uint8_t attribute, source;
    weft_model_text unit;              /* that it is written in; `value` and the interval are in SI */
    double value, low, high;           /* NAN: no interval */
    double n;                          /* samples; NAN: not said */
    weft_model_text statistic;         /* median, mean, min, max, p95, …; 0: not said */
    weft_model_text reference, where;  /* a key of `references`, and the place in it */
    weft_model_text tool, time, note;  /* time: ISO 8601 */
    struct weft_model_condition when;
};

struct weft_model_curve {
    weft_model_ref entity;
    uint8_t attribute, source, form;
    weft_model_text over;              /* size, threads, load, connections, stride, count */
    weft_model_text unit, over_unit;
    uint32_t first_parameter, parameters; /* a range of the model's `numbers` */
    double from, to;                   /* the domain; NAN: no bound */
    double fit_error, held_out_error;  /* median relative errors; NAN: not known */
    weft_model_text reference, where, tool, time, note;
    struct weft_model_condition when;
};

struct weft_model_reference { weft_model_text key, title, authors, year, url; };

/* Read the arrays as you like; change them through the functions only. */
struct weft_model {
    weft_model_text name, note;
    struct weft_model_entity *entities;
    struct weft_model_property *properties;     /* by entity once settled, as are the next two */
    struct weft_model_observation *observations;
    struct weft_model_curve *curves;
    struct weft_model_relation *relations;
    struct weft_model_reference *references;
    double *numbers;                            /* the curves' parameters */
    char *text;
    uint32_t entity_count, property_count, observation_count, curve_count, relation_count, reference_count,
        number_count, text_bytes;
    /* The links of each entity, made by weft_model_settle: those of entity e are adjacent[first_adjacent[e]] up to
     * adjacent[first_adjacent[e + 1]]; each is a link or service that has e as an end. */
    weft_model_ref *adjacent;
    uint32_t *first_adjacent;
    struct weft_model_hidden *hidden;           /* hash tables and capacities */
};

static inline const char *weft_model_string(const struct weft_model *m, weft_model_text t) { return m->text + t; }
static inline const char *weft_model_id(const struct weft_model *m, weft_model_ref e) {
    return m->text + m->entities[e].id;
}

/* ---- Making one -------------------------------------------------------------------------------------------------- */

int weft_model_create(struct weft_model **out);
void weft_model_destroy(struct weft_model *m);

/* The text's place in the model; it is copied once. 0 for "" and for NULL; WEFT_MODEL_NONE without memory. */
weft_model_text weft_model_intern(struct weft_model *m, const char *text);

/* Adds an entity with `id`, of a class of this kind (NULL: none); its place, or WEFT_MODEL_NONE: the id is taken, or no
 * memory. Parent and ends may be set in the array until weft_model_settle. */
weft_model_ref weft_model_add_entity(struct weft_model *m, const char *id, enum weft_model_kind kind,
                                     const char *class_name);
/* The others copy what they are given. WEFT_E_NOMEM; WEFT_E_INVAL: an entity that is not there, an attribute that this
 * kind does not have, a value that is negative or no number. */
/* Each name once for an entity. */
int weft_model_add_property(struct weft_model *m, weft_model_ref entity, const char *name, const char *value);
int weft_model_add_observation(struct weft_model *m, const struct weft_model_observation *o);
/* The same, in place of what the same tool said before, in the same statistic and under the same condition: for measuring again. */
int weft_model_renew_observation(struct weft_model *m, const struct weft_model_observation *o);
int weft_model_add_relation(struct weft_model *m, const struct weft_model_relation *r);
int weft_model_add_curve(struct weft_model *m, const struct weft_model_curve *c, const double *parameters);
/* The same for a curve over the same quantity. */
int weft_model_renew_curve(struct weft_model *m, const struct weft_model_curve *c, const double *parameters);
int weft_model_add_reference(struct weft_model *m, const struct weft_model_reference *r);
/* An observation with nothing said but its entity, attribute, value in SI and source. */
struct weft_model_observation weft_model_observation_of(weft_model_ref entity, enum weft_model_attribute attribute,
                                                        double value, enum weft_model_source source);

/* Sorts and links what was added: call it after changes, before the model is asked or written. References to
 * observations, curves and properties change, those to entities stay. WEFT_E_INVAL: something contains
 * itself, a parent or an end is not there, or there is one end alone. */
int weft_model_settle(struct weft_model *m);

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* What is wrong with a file, and where. */
struct weft_model_fault {
    char file[256];
    unsigned line;            /* 0: not known */
    char path[256];           /* JSON path: $.entities[3].values.latency.unit */
    char reason[512];
};

/* Adds what the file says, which may refer to what the model has already; a file that is wrong adds nothing. Settles.
 * WEFT_E_INVAL: it is wrong; WEFT_E_NOENT, WEFT_E_ACCESS, WEFT_E_IO: it cannot be read; WEFT_E_TOO_BIG. `fault` is
 * filled in on every error. */
int weft_model_load(struct weft_model *m, const char *path, struct weft_model_fault *fault);
/* The same of text in memory, `name` being what the fault calls it. */
int weft_model_parse(struct weft_model *m, const char *json, size_t len, const char *name,
                     struct weft_model_fault *fault);
/* The folder of descriptions that files may `use`, beside their own folder. NULL: none, as at first. */
int weft_model_set_folder(struct weft_model *m, const char *folder);
/* Writes the model so that reading it gives the same one. The file is replaced as a whole or not at all. */
int weft_model_write(const struct weft_model *m, FILE *f);
int weft_model_save(const struct weft_model *m, const char *path);

/* The user's model (option "model"), and the folder of descriptions that comes with weft (option "model_folder").
 * WEFT_E_NOENT: there is none; the model's file itself need not be there. */
int weft_model_default_path(char *out, size_t cap);
int weft_model_default_folder(char *out, size_t cap);

/* The JSON Schema of model files. */
int weft_model_write_schema(FILE *f);

/* ---- hwloc ------------------------------------------------------------------------------------------------------- */

/* Adds a machine as hwloc knows it, this one (NULL) or one in an hwloc XML file, as the entity `id` and what it contains:
 * packages, caches, cores, memory, devices, their links, and the memory attributes that its firmware tells. Settles. Errors
 * as weft_model_load; WEFT_E_EXIST: the model has entities of these names. */
int weft_model_import_hwloc(struct weft_model *m, const char *xml, const char *id, struct weft_model_fault *fault);
/* Writes that machine's hwloc XML (version 2) to the file `out`, with the latencies and bandwidths that the model has of
 * its memory as hwloc's memory attributes, and, when all are known, the latencies between its NUMA nodes as distances. How
 * many attributes were set goes to *values. WEFT_E_NOENT: the model has no entity `id`. */
int weft_model_export_hwloc(const struct weft_model *m, const char *id, const char *xml, const char *out,
                            unsigned *values, struct weft_model_fault *fault);

/* ---- Asking, on a hot path: no memory is taken, no system call made ------------------------------------------------ */

weft_model_ref weft_model_find(const struct weft_model *m, const char *id); /* WEFT_MODEL_NONE: not there */

/* The best observation of an attribute: of those that do not contradict `wanted` (NULL: any condition) the one that
 * says most of what is wanted, then the one of the best source, then the one that holds under the fewest conditions, then
 * the latest. NULL: none. */
const struct weft_model_observation *weft_model_best(const struct weft_model *m, weft_model_ref entity,
                                                     enum weft_model_attribute attribute,
                                                     const struct weft_model_condition *wanted);
/* Its value; `otherwise` when there is none. */
double weft_model_value(const struct weft_model *m, weft_model_ref entity, enum weft_model_attribute attribute,
                        double otherwise);
/* A property's text; NULL: not said. */
const char *weft_model_get_property(const struct weft_model *m, weft_model_ref entity, const char *name);
/* The curve of an attribute over "size", "threads", … that fits `wanted` best (NULL: any condition), then that of the best
 * source. NULL: none. */
const struct weft_model_curve *weft_model_find_curve(const struct weft_model *m, weft_model_ref entity,
                                                     enum weft_model_attribute attribute, const char *over,
                                                     const struct weft_model_condition *wanted);
/* y at x; x is brought into the domain first. */
double weft_model_curve_at(const struct weft_model *m, const struct weft_model_curve *c, double x);
/* A condition that says nothing. */
struct weft_model_condition weft_model_any(void);

/* ---- Questions in SQL ------------------------------------------------------------------------------------------- */

/* The model as tables and views (docs/MODEL.md lists them), as it was when it was opened; the model stays unchanged and in
 * place meanwhile. Questions change nothing, reach no file, and are stopped when they do too much work. One thread. */
struct weft_model_db;
int weft_model_db_open(const struct weft_model *m, struct weft_model_db **out);
void weft_model_db_close(struct weft_model_db *db);
/* How many steps of SQLite's machine a question may take. */
#define WEFT_MODEL_WORK_MAX 1000000000u
void weft_model_db_limit(struct weft_model_db *db, uint64_t work);

enum weft_model_cell_type { WEFT_MODEL_CELL_NULL, WEFT_MODEL_CELL_NUMBER, WEFT_MODEL_CELL_TEXT };
struct weft_model_cell {
    const char *name;
    enum weft_model_cell_type type;
    double number;
    const char *text; /* until the function returns */
};
/* A row of the answer; false: enough. */
typedef bool weft_model_row_fn(void *ctx, int columns, const struct weft_model_cell *cells);

/* One SELECT. WEFT_E_INVAL: no SQL; WEFT_E_ACCESS: more than a SELECT; WEFT_E_LIMIT: too much work; `why` is a text. */
int weft_model_db_ask(struct weft_model_db *db, const char *sql, weft_model_row_fn *fn, void *ctx, char *why,
                      size_t cap);
/* A question with a name and its arguments, as in "closest n0.gpu0 3"; else taken for SQL. WEFT_E_NOENT: an entity that
 * it names is not there. */
int weft_model_db_question(struct weft_model_db *db, const char *text, weft_model_row_fn *fn, void *ctx, char *why,
                           size_t cap);
/* The questions with names; false after the last. */
bool weft_model_question_at(size_t i, const char **name, const char **arguments, const char **help);

/* ---- Provenance in words ----------------------------------------------------------------------------------------- */

/* "latency 305 ns of optane.dimm (read, random): literature, mean; Izraelevitz et al.: …": what a number rests on. Cut
 * to the room there is. */
void weft_model_observation_text(const struct weft_model *m, const struct weft_model_observation *o, char *out,
                                 size_t cap);
void weft_model_condition_text(const struct weft_model *m, const struct weft_model_condition *c, char *out, size_t cap);
void weft_model_reference_text(const struct weft_model *m, weft_model_text key, weft_model_text where, char *out,
                               size_t cap);

/* ---- Names ------------------------------------------------------------------------------------------------------- */

const char *weft_model_kind_name(enum weft_model_kind k);
const char *weft_model_attribute_name(enum weft_model_attribute a);
enum weft_model_dimension weft_model_attribute_dimension(enum weft_model_attribute a);
const char *weft_model_relation_name(enum weft_model_relation_type r);
const char *weft_model_source_name(enum weft_model_source s);
const char *weft_model_form_name(enum weft_model_form f);
/* A unit by its name ("ns", "GiB", "Gbit/s"): its dimension and how many of the SI unit it is. False: unknown. */
bool weft_model_unit(const char *name, enum weft_model_dimension *dimension, double *factor);
/* For people: "89 ns", "16 GiB". */
void weft_model_quantity(double value, enum weft_model_dimension d, char *out, size_t cap);
/* The SI unit of a dimension: "s", "B", "B/s", … */
const char *weft_model_si_unit(enum weft_model_dimension d);

#ifdef __cplusplus
}
#endif
#endif
