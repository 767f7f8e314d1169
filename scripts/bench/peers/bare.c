/*
 * What this machine can do without any server: each mode prints the seconds that its work took.
 *
 *   bare spawn COUNT AT_ONCE        posix_spawn of /bin/true, AT_ONCE children at a time
 *   bare drain PROGRAM ARG...       reads the program's standard output to its end, 64 KiB at a time
 *   bare feed BYTES PROGRAM ARG...  writes BYTES to the program's standard input and waits for its end
 *   bare pty COUNT                  COUNT keys to a terminal with cat and their echoes, one after another
 *   bare read FILE COUNT            open, read(2) to the end, close
 *   bare write FILE BYTES COUNT     open, write(2), close
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (64 * 1024)
extern char **environ;
static char block[BLOCK];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void check(int ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(1);
}

/* Starts a program with one end of a pipe as its descriptor `fd` (or none for -1). */
static pid_t start(char **argv, int ends[2], int fd) {
  pid_t pid;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (fd >= 0) {
    check(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    posix_spawn_file_actions_adddup2(&actions, ends[fd == 0 ? 0 : 1], fd);
  }
  check(posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) == 0, argv[0]);
  posix_spawn_file_actions_destroy(&actions);
  if (fd >= 0) close(ends[fd == 0 ? 0 : 1]);
  return pid;
}

static void spawn_many(int count, int at_once) {
  char *argv[] = {"/bin/true", NULL};
  int running = 0, status;
  while (count > 0 || running > 0) {
    while (count > 0 && running < at_once) {
      start(argv, NULL, -1);
      count--, running++;
    }
    check(wait(&status) > 0, "wait");
    running--;
  }
}

static void drain(char **argv) {
  int ends[2], status;
  start(argv, ends, 1);
  while (read(ends[0], block, BLOCK) > 0) {}
  wait(&status);
}

static void feed(long bytes, char **argv) {
  int ends[2], status;
  start(argv, ends, 0);
  while (bytes > 0) {
    ssize_t n = write(ends[1], block, bytes < BLOCK ? bytes : BLOCK);
    check(n > 0, "write");
    bytes -= n;
  }
  close(ends[1]);
  wait(&status);
}

static void keys(int count) {
  int master, status;
  char key = 'x';
  pid_t pid = forkpty(&master, NULL, NULL, NULL);
  check(pid >= 0, "forkpty");
  if (pid == 0) {
    execlp("cat", "cat", NULL);
    _exit(127);
  }
  while (count-- > 0) {
    check(write(master, &key, 1) == 1, "write");
    check(read(master, &key, 1) == 1, "read");
  }
  kill(pid, SIGKILL);
  waitpid(pid, &status, 0);
}

static void read_file(const char *path, int count) {
  static char large[1024 * 1024];
  while (count-- > 0) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd >= 0, path);
    while (read(fd, large, sizeof large) > 0) {}
    close(fd);
  }
}

static void write_file(const char *path, long bytes, int count) {
  char *content = malloc(bytes);
  memset(content, 'x', bytes);
  while (count-- > 0) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(fd >= 0, path);
    for (long done = 0; done < bytes;) {
      ssize_t n = write(fd, content + done, bytes - done);
      check(n > 0, "write");
      done += n;
    }
    close(fd);
  }
}

int main(int argc, char **argv) {
  const char *mode = argc > 2 ? argv[1] : "";
  double from = now();
  if (strcmp(mode, "spawn") == 0 && argc == 4) spawn_many(atoi(argv[2]), atoi(argv[3]));
  else if (strcmp(mode, "drain") == 0) drain(argv + 2);
  else if (strcmp(mode, "feed") == 0 && argc > 3) feed(atol(argv[2]), argv + 3);
  else if (strcmp(mode, "pty") == 0) keys(atoi(argv[2]));
  else if (strcmp(mode, "read") == 0 && argc == 4) read_file(argv[2], atoi(argv[3]));
  else if (strcmp(mode, "write") == 0 && argc == 5) write_file(argv[2], atol(argv[3]), atoi(argv[4]));
  else return fprintf(stderr, "bare: see the head of bare.c\n"), 2;
  printf("%.9f\n", now() - from);
  return 0;
}
