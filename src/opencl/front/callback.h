/* Callbacks: one thread of our own that runs the program's callbacks, in the order they became due.
 * Completions come on drivers' and the fabric's threads, which must not be held up by the program. The thread
 * is started at the first use. */
#ifndef WEFT_OPENCL_FRONT_CALLBACK_H
#define WEFT_OPENCL_FRONT_CALLBACK_H

/* run(arg) on the callback thread; without memory or thread: at once, here. Any thread. */
void callback_post(void (*run)(void *arg), void *arg);

#endif
