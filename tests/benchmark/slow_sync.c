/* Preloaded into a process: every flush of a file takes SLOW_SYNC_MS milliseconds more, as on
 * an SD card that is busy with its own housekeeping. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_first(void)
{
    const char *text = getenv("SLOW_SYNC_MS");
    long ms = text == NULL ? 0 : atol(text);
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&pause, NULL);
}

#define WRAP(name) \
    int name(int file) \
    { \
        wait_first(); \
        return ((int (*)(int))dlsym(RTLD_NEXT, #name))(file); \
    }

WRAP(fsync)
WRAP(fdatasync)
