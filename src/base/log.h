/* Log: lines on standard error (or the file WEFT_LOG_FILE), one write a line, with a level that WEFT_LOG sets
 * (error, warn, info, debug, trace; default warn). Any thread, but not signal handlers; never changes errno.
 * The first to see a failure logs the exact cause; callers pass the code on without logging again. */
#ifndef WEFT_BASE_LOG_H
#define WEFT_BASE_LOG_H

enum weft_log_level { WEFT_LOG_ERROR, WEFT_LOG_WARN, WEFT_LOG_INFO, WEFT_LOG_DEBUG, WEFT_LOG_TRACE };

/* The program's name in each line ("weftd", "weft-exec"); default is taken from the process. */
void weft_log_init(const char *program);
int weft_log_enabled(enum weft_log_level level);
void weft_log_write(enum weft_log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define weft_log(level, module, ...)                                                                         \
    do {                                                                                                     \
        if (weft_log_enabled(level)) weft_log_write(level, module, __VA_ARGS__);                             \
    } while (0)
#define weft_error(module, ...) weft_log(WEFT_LOG_ERROR, module, __VA_ARGS__)
#define weft_warn(module, ...)  weft_log(WEFT_LOG_WARN, module, __VA_ARGS__)
#define weft_info(module, ...)  weft_log(WEFT_LOG_INFO, module, __VA_ARGS__)
#define weft_debug(module, ...) weft_log(WEFT_LOG_DEBUG, module, __VA_ARGS__)

#endif
