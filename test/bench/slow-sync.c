// Preloaded into a process, makes each of its syncs take SLOW_SYNC_US microseconds more, as those of a slower disk do.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slowed(const char *name, int descriptor) {
  const char *us = getenv("SLOW_SYNC_US");
  int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  if (us != NULL) usleep((useconds_t)atoi(us));
  return sync(descriptor);
}

int fsync(int descriptor) { return slowed("fsync", descriptor); }
int fdatasync(int descriptor) { return slowed("fdatasync", descriptor); }
