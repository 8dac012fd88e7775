// The oracle: pause in C, written from the contract in README.md. Tests compare every observation with it.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "pause.c reference"
#endif

static void sigdown(int signal) {
  psignal(signal, "Shutting down, got signal");
  _exit(0);
}

// Between a pause() and the look at its errno another child may die.
static void sigreap(int signal) {
  (void)signal;
  int kept = errno;
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  errno = kept;
}

static int set(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  sigaddset(&action.sa_mask, SIGINT);
  sigaddset(&action.sa_mask, SIGTERM);
  sigaddset(&action.sa_mask, SIGCHLD);
  return sigaction(signal, &action, NULL);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (strcasecmp(argv[i], "-v") == 0) {
      puts(VERSION);
      return 0;
    }
  }
  if (getpid() != 1) fputs("Warning: pause should be the first process\n", stderr);
  if (set(SIGINT, sigdown, 0) < 0) return 1;
  if (set(SIGTERM, sigdown, 0) < 0) return 2;
  if (set(SIGCHLD, sigreap, SA_NOCLDSTOP) < 0) return 3;
  sigreap(SIGCHLD);
  do pause();
  while (errno == EINTR);
  fputs("Error: infinite loop terminated\n", stderr);
  return 42;
}
