// An orphan storm: run inside a PID namespace, makes COUNT orphans of its PID 1, which die in bursts of BURST.
// Prints the wall time from the first fork to the last reaped orphan, and the longest that a zombie was seen,
// in nanoseconds. The same for every program under test: who reaps, and how, is only seen from outside.
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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
  long long start = now(), longest = 0;
  for (int done = 0, round = 0; done < count; round++) {
    int size = count - done < burst ? count - done : burst;
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
    // A different one in every burst is watched from its death until it is reaped.
    pid_t watched = orphans[round % size];
    struct pollfd death = {.fd = syscall(SYS_pidfd_open, watched, 0), .events = POLLIN};
    must(death.fd, "pidfd_open");
    close(gate[1]);
    must(poll(&death, 1, -1), "poll");
    long long died = now();
    while (kill(watched, 0) == 0) sched_yield();
    if (now() - died > longest) longest = now() - died;
    close(death.fd);
    // PID 1 has kept up before the next burst begins.
    for (int i = 0; i < size; i++) {
      while (kill(orphans[i], 0) == 0) sched_yield();
    }
    done += size;
  }
  printf("%lld %lld\n", now() - start, longest);
  return 0;
}
