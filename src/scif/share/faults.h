/* Page faults of a process as messages (userfaultfd), for shared mappings of memory files: a thread that
 * touches a page that is not there, or writes to one that it may only read, waits until it is told to go on.
 *
 * Without privileges the system gives only the faults of the program itself: a system call that is handed an
 * address of such a page fails with EFAULT. With them (or access to /dev/userfaultfd) it waits like a thread.
 */
#ifndef WEFT_SCIF_SHARE_FAULTS_H
#define WEFT_SCIF_SHARE_FAULTS_H
#include "scif/share/share.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A descriptor, readable when there is something, or -errno: ENOSYS, EPERM, EOPNOTSUPP (before Linux 6.4).
 * in_system_calls: whether system calls wait too. */
int faults_open(bool *in_system_calls);

enum faults_kind { FAULTS_NOTHING, FAULTS_READ, FAULTS_WRITE, FAULTS_UNMAPPED, FAULTS_MOVED };
struct faults_event {
    enum faults_kind kind;
    uintptr_t address, bytes; /* bytes: UNMAPPED, MOVED */
    uintptr_t to;             /* MOVED */
};
/* The next one; NOTHING: none. It never waits, whatever another process that has the descriptor does with it.
 */
struct faults_event faults_next(int fd);
/* Whether it is such a descriptor. */
bool faults_is(int fd);

/* From now on faults in the range are told; pages that are there stay. 0 or an errno. */
int faults_watch(int fd, uintptr_t address, size_t bytes);
/* No more; all pages of the file may be used, threads that wait go on. */
void faults_unwatch(int fd, uintptr_t address, size_t bytes);

/* ---- One page ----
 * 0 or an errno. ENOENT: it is not watched, it was unmapped. ESRCH: the process is gone. EAGAIN: the program
 * is just unmapping or moving something: not before its event has been taken. Except by _forbid and
 * _hold_writes, threads that wait go on. */
/* The file does not have it (EEXIST): it gets these bytes. */
int faults_put(int fd, uintptr_t address, const void *bytes, bool write);
/* EFAULT: the file does not have it. */
int faults_allow(int fd, uintptr_t address, bool write);
int faults_allow_write(int fd, uintptr_t address); /* where it may be read */
int faults_forbid_write(int fd, uintptr_t address);
/* Threads that wait for it do so on. */
int faults_hold_writes(int fd, uintptr_t address);
/* Neither, in this process. By its address alone: what the program maps there in the microsecond after the
 * page was found to be watched would lose its page. */
int faults_forbid(int fd, uintptr_t address);

/* What may be done with it becomes more, or less but something; threads that wait do so until faults_wake().
 */
int faults_prepare(int fd, uintptr_t address, enum share_state from, enum share_state to);

void faults_wake(int fd, uintptr_t address, size_t bytes);
void faults_wake_all(int fd);

#endif
