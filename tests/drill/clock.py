"""A clock of the system that jumps in the middle of a run, for one process and those that it starts.

The library overrides what the C library tells of the wall clock, so Python, SQLite and Arrow see the same; monotonic
clocks and the times of files stay true, as after a correction by NTP on a machine with a network disk.
"""

import shutil
import subprocess
from pathlib import Path

JUMP_S = -86_400
"""A day back."""
_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void) {
    const char *flag = getenv("STARLOOM_DRILL_CLOCK");
    return flag && access(flag, F_OK) == 0 ? atol(getenv("STARLOOM_DRILL_JUMP_S")) : 0;
}

int clock_gettime(clockid_t id, struct timespec *told) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, told);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) told->tv_sec += jump();
    return failed;
}

int gettimeofday(struct timeval *restrict told, void *restrict zone) {
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    told->tv_sec = now.tv_sec;
    told->tv_usec = now.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *told) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told) *told = now.tv_sec;
    return now.tv_sec;
}
"""


def no_compiler() -> str | None:
    """Return why the clock cannot be moved here; None if it can."""
    return None if shutil.which("cc") else "there is no C compiler (cc)"


def clock_settings(folder: Path, flag: Path) -> dict[str, str]:
    """Return the environment of a process whose clock jumps as soon as the file `flag` exists."""
    source, library = folder / "clock.c", folder / "clock.so"
    if not library.exists():
        source.write_text(_SOURCE, encoding="ascii")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return {
        "LD_PRELOAD": str(library),
        "STARLOOM_DRILL_CLOCK": str(flag),
        "STARLOOM_DRILL_JUMP_S": str(JUMP_S),
    }
