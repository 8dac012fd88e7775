// An orphan storm: run inside a PID namespace, makes COUNT orphans of its PID 1, which die in bursts of BURST.
// Prints the wall time from the first fork to the last reaped orphan, in nanoseconds. The same for every program under
// test: how it reaps is only seen from outside.
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void must(long result, const char *what) {
  if (result >= 0) return;
  perror(what);
  exit(1);
}

int main(int argc, char **argv) {
  int count = argc == 3 ? atoi(argv[1]) : 0, burst = argc == 3 ? atoi(argv[2]) : 0;
  if (count < 1 || burst < 1) {
    fputs("usage: storm COUNT BURST\n", stderr);
    return 2;
  }
  // The parent of a burst is gone when its children's IDs are wanted: it leaves them in shared memory.
  pid_t *orphans = mmap(NULL, burst * sizeof *orphans, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (orphans == MAP_FAILED) must(-1, "mmap");
  pid_t storm = getpid();
  long long start = now();
  for (int done = 0, size; done < count; done += size) {
    size = count - done < burst ? count - done : burst;
    int gate[2], status;
    must(pipe(gate), "pipe");
    pid_t parent = fork();
    must(parent, "fork");
    if (parent == 0) {
      close(gate[1]);
      for (int i = 0; i < size; i++) {
        pid_t orphan = fork();
        must(orphan, "fork");
        if (orphan > 0) {
          orphans[i] = orphan;
          continue;
        }
        char byte;
        // Blocks until the last write end is closed. An orphan of anybody but PID 1 would be no measurement.
        if (read(gate[0], &byte, 1) != 0 || getppid() != 1) kill(storm, SIGKILL);
        _exit(0);
      }
      _exit(0);
    }
    must(waitpid(parent, &status, 0), "waitpid");
    if (status != 0) return 1;
    close(gate[0]);
    close(gate[1]);
    // PID 1 has kept up before the next burst begins.
    for (int i = 0; i < size; i++) {
      while (kill(orphans[i], 0) == 0) sched_yield();
    }
  }
  printf("%lld\n", now() - start);
  return 0;
}
