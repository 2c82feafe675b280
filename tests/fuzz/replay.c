/* Replay: feeds files, and all files of directories, to a fuzz target that was built without libFuzzer. Each
 * input is also tried cut short and with a byte changed, so that the neighbourhood of the corpus is seen in
 * every test run. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1u << 20)

static size_t inputs;

/* Exactly as long as it is, so that a sanitizer sees reads beyond its end. */
static void feed(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact) abort();
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    inputs++;
}

static void feed_neighbours(uint8_t *data, size_t size) {
    feed(data, size);
    for (size_t i = 0; i < size && i < 64; i++) {
        uint8_t kept = data[i];
        feed(data, i);
        data[i] ^= 0x80;
        feed(data, size);
        data[i] = kept;
    }
}

static int feed_file(const char *path) {
    static uint8_t data[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return 1;
    }
    size_t size = fread(data, 1, sizeof data, f);
    fclose(f);
    feed_neighbours(data, size);
    return 0;
}

static int feed_directory(DIR *d, const char *path) {
    int failed = 0;
    char name[4096];
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        failed |= feed_file(name);
    }
    closedir(d);
    return failed;
}

int main(int argc, char **argv) {
    int failed = argc < 2;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        failed |= d ? feed_directory(d, argv[i]) : feed_file(argv[i]);
    }
    printf("%zu inputs\n", inputs);
    return failed || inputs == 0;
}
