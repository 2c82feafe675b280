/* weft model place: the command; what it places is in place_*.c. */
#include "cli/model/application.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv) {
    static const struct option options[] = {
        {"model", required_argument, NULL, 'm'}, {"what", required_argument, NULL, 'w'},
        {"as", required_argument, NULL, 'a'},    {"nodes", required_argument, NULL, 'n'},
        {"in", required_argument, NULL, 'i'},    {"task", required_argument, NULL, 't'},
        {"runs", required_argument, NULL, 'r'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},        {0}};
    static const struct {
        const char *name;
        int (*place)(const struct command *c, const struct weft_model *m, const struct place_call *call);
    } kind[] = {{"processes", place_processes}, {"objects", place_objects}, {"blocks", place_blocks}};
    const struct command *c = &command_model_place;
    struct model_files files = {0};
    struct place_call call = {0};
    const char *what = "processes";
    size_t k = 0;
    for (int o; (o = getopt_long(argc, argv, "hm:", options, NULL)) != -1;) {
        switch (o) {
        case 'm':
            if (!model_files_add(c, &files, optarg)) return EXIT_USAGE;
            break;
        case 'w': what = optarg; break;
        case 'a': call.as = optarg; break;
        case 'n': call.nodes = optarg; break;
        case 'i': call.in = optarg; break;
        case 't': call.task = optarg; break;
        case 'r':
            if (!command_number(c, "--runs", optarg, 1, LONG_MAX, &call.runs)) return EXIT_USAGE;
            break;
        case 'j': call.json = true; break;
        case 'h': return command_help(c);
        default: return command_misuse(c, NULL);
        }
    }
    for (; optind < argc; optind++)
        if (!model_files_add(c, &files, argv[optind])) return EXIT_USAGE;
    while (k < sizeof kind / sizeof *kind && strcmp(kind[k].name, what) != 0) k++;
    if (k == sizeof kind / sizeof *kind)
        return command_misuse(c, "--what %s: processes, objects or blocks is wanted", what);
    if (!files.count) return command_misuse(c, "which files?");
    if (call.as && strcmp(what, "processes") != 0) return command_misuse(c, "--as is for processes");
    struct weft_model *m = model_open(c, &files);
    int status = m ? kind[k].place(c, m, &call) : 1;
    weft_model_destroy(m);
    return status;
}

const struct command command_model_place = {
    .name = "model place",
    .summary = "say which process, object or block goes where",
    .usage =
        "Usage: weft model place [--what processes] [--nodes LIST] [--as FORM] [--json] FILE...\n"
        "       weft model place --what objects [--in ENTITY] [--runs N] [--json] FILE...\n"
        "       weft model place --what blocks --task TASK [--json] FILE...\n"
        "Reads the files one after another and says where the application's parts should be.\n\n"
        "processes: tasks that exchange messages over nodes, so that few bytes cross (by their cost, where "
        "the model knows\n"
        "the ways between all nodes), with what crosses and what would if they took turns.\n"
        "  --nodes LIST      N nodes that are alike, or names with places: alpha:4,beta:8 (default: the "
        "hosts of the\n"
        "                    model, with a place for each core)\n"
        "  --as FORM         rankfile (Open MPI), slurm (a SLURM_HOSTFILE), weft (`weft run --node`: process "
        "and node)\n"
        "objects: over the memories, so that the time of accesses is least.\n"
        "  --in ENTITY       only memories inside of it\n"
        "  --runs N          memories with a limited endurance have to last N runs\n"
        "blocks: how many of a task's blocks each unit that runs it should get.\n"
        "  --task TASK       the task\n\n"
        "  -m, --model FILE  the same as FILE\n"
        "  --json            one object a line\n",
    .run = run,
};
