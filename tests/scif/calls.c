#include "calls.h"
#include "alone.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The program may wait for the library: asleep, or at the gate, where it runs. It is waited for so long. */
#define LOOK_NS   200000l
#define HELD_S    0.005
#define ASLEEP_OF 2 /* looks in a row that find it asleep */

static _Thread_local bool is_program;
static sem_t turn, turn_over;
static bool stopping;
static int program_state = -1; /* of its thread, as the system tells it */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool on, acting; /* with it: there are turns; one is not over */
static unsigned calls, first;

static bool refusing, strange;
static unsigned char *stranger;

static long (*system_syscall)(long, ...);
static int (*system_ioctl)(int, unsigned long, ...);
/* At the first call: a sanitizer makes some before any constructor runs. */
static void find(void) {
    if (system_syscall) return;
    *(void **)&system_ioctl = dlsym(RTLD_NEXT, "ioctl");
    *(void **)&system_syscall = dlsym(RTLD_NEXT, "syscall");
}
__attribute__((constructor)) static void start(void) {
    find();
    sem_init(&turn, 0, 0);
    sem_init(&turn_over, 0, 0);
}

/* ---- Turns ---- */
void calls_be_program(void) { is_program = true; }

/* False: it is not over yet. */
static bool await_end(void) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return sem_timedwait(&turn_over, &until) == 0;
}

/* Without the heap and the library: the program may have their locks. */
static bool is_asleep(void) {
    char text[128] = "";
    if (pread(program_state, text, sizeof text - 1, 0) <= 0) return false;
    const char *state = strrchr(text, ')');
    return state && state[1] && state[2] != 'R';
}

static void give_turn(void) {
    unsigned asleep = 0;
    sem_post(&turn);
    acting = true;
    for (double end = alone_now_s() + HELD_S; acting && alone_now_s() < end && asleep < ASLEEP_OF;) {
        acting = !await_end();
        asleep = acting && is_asleep() ? asleep + 1 : 0;
    }
}

static void before_call(void) {
    if (is_program || pthread_mutex_trylock(&lock)) return;
    bool is_time = on && calls++ >= first;
    if (acting && !sem_trywait(&turn_over)) acting = false;
    if (is_time && !acting) give_turn();
    pthread_mutex_unlock(&lock);
}

void calls_give_turns(unsigned from) {
    pthread_mutex_lock(&lock);
    on = true;
    calls = 0;
    first = from;
    pthread_mutex_unlock(&lock);
}

void calls_end_turns(void) {
    pthread_mutex_lock(&lock);
    on = false;
    if (acting) sem_wait(&turn_over);
    acting = false;
    pthread_mutex_unlock(&lock);
}

static int open_state(void) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/task/%d/stat", gettid());
    return open(name, O_RDONLY | O_CLOEXEC);
}

bool calls_await_turn(void) {
    if (program_state < 0) program_state = open_state();
    while (sem_wait(&turn)) {
    }
    return !stopping;
}

void calls_turn_over(void) { sem_post(&turn_over); }

void calls_stop_program(void) {
    stopping = true;
    sem_post(&turn);
}

void *calls_move(void *from, unsigned long bytes, int flags, void *to) {
    return (void *)system_syscall(SYS_mremap, from, bytes, bytes, flags, to);
}

/* ---- Refusals ---- */
void calls_refuse(bool with_stranger) {
    stranger = NULL;
    strange = with_stranger;
    refusing = true;
}

unsigned char *calls_refuse_no_more(void) {
    refusing = false;
    return stranger;
}

static long refuse_to_move(const long a[6]) {
    system_syscall(SYS_munmap, a[4], a[1]);
    if (strange)
        stranger = (void *)system_syscall(SYS_mmap, a[4], sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (stranger) *stranger = 1;
    errno = ENOMEM;
    return -1;
}

/* ---- In the C library's place ---- */
__attribute__((visibility("default"))) long syscall(long number, ...) {
    va_list ap;
    long a[6];
    va_start(ap, number);
    for (unsigned i = 0; i < 6; i++) a[i] = va_arg(ap, long);
    va_end(ap);
    find();
    before_call();
    bool takes = !is_program && number == SYS_mremap && (a[3] & MREMAP_DONTUNMAP);
    if (takes && refusing) return refuse_to_move(a);
    return system_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...) {
    va_list ap;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    find();
    before_call();
    return system_ioctl(fd, request, arg);
}
