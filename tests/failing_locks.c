/* Preloaded into a logger: locks of files fail as they do on a bad network file system.
 *
 * The file named by FAILING_LOCKS says how: "lock" makes every attempt to take a lock
 * fail; "hang" keeps it waiting until the file says something else, and is changed to "hung"
 * by the first; "unlock" makes the next release of SQLite's write lock fail (byte 120 of the
 * shared memory file, sqlite.org/walformat.html), and is then changed to "lock". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int asked_to_fail(int command, const struct flock *lock)
{
    const char *path = getenv("FAILING_LOCKS");
    char how[8] = "";
    int file, fails = 0;

    if (path == NULL || command != F_SETLK)
        return 0;
    file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return 0;
    if (read(file, how, sizeof how - 1) > 0) {
        if (strncmp(how, "unlock", 6) == 0)
            fails = lock->l_type == F_UNLCK && lock->l_start == 120 && lock->l_len == 1;
        else
            fails = lock->l_type != F_UNLCK;
        if (fails && how[0] == 'u')
            fails = ftruncate(file, 0) == 0 && pwrite(file, "lock", 4, 0) == 4;
        if (fails && strncmp(how, "hang", 4) == 0)
            fails = pwrite(file, "hung", 4, 0) == 4;
        while (fails && pread(file, how, 4, 0) == 4 && strncmp(how, "hung", 4) == 0)
            usleep(10000);
    }
    close(file);
    return fails;
}

static int wrapped(const char *name, int file, int command, void *argument)
{
    int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);

    if (asked_to_fail(command, argument)) {
        errno = ENOLCK;
        return -1;
    }
    return real(file, command, argument);
}

#define WRAP(name) \
    int name(int file, int command, ...) \
    { \
        va_list rest; \
        void *argument; \
        va_start(rest, command); \
        argument = va_arg(rest, void *); \
        va_end(rest); \
        return wrapped(#name, file, command, argument); \
    }

WRAP(fcntl)
WRAP(fcntl64)
