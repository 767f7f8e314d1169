/** The part of libc that only terminals need, looked up apart: a libc that lacks it lacks terminals, nothing else. */
import { libcSymbols } from "./bun.ts";
import { unsupported } from "./coded_error.ts";

/** See the manual pages of the same names. All pointers are addresses of views, or views. */
export interface PtyLibc {
  ioctl(fd: number, request: number, argument: unknown): number;
  waitpid(pid: number, status: unknown, options: number): number;
  /** Returns the error number instead of setting errno, as all of the `posix_spawn` family does. */
  posix_spawn(
    pid: unknown,
    file: unknown,
    actions: unknown,
    attributes: unknown,
    argv: unknown,
    env: unknown,
  ): number;
  posix_spawnattr_init(attributes: unknown): number;
  posix_spawnattr_setflags(attributes: unknown, flags: number): number;
  posix_spawnattr_setsigdefault(attributes: unknown, signals: unknown): number;
  posix_spawnattr_setsigmask(attributes: unknown, signals: unknown): number;
  posix_spawn_file_actions_init(actions: unknown): number;
  posix_spawn_file_actions_destroy(actions: unknown): number;
  posix_spawn_file_actions_addopen(
    actions: unknown,
    fd: number,
    path: unknown,
    flags: number,
    mode: number,
  ): number;
  posix_spawn_file_actions_adddup2(actions: unknown, fd: number, copy: number): number;
  posix_spawn_file_actions_addchdir_np(actions: unknown, path: unknown): number;
}

let found: PtyLibc | undefined;

/** Looks the functions up at the first call. @throws an error with the code UNSUPPORTED when libc lacks one */
export function ptyLibc(): PtyLibc {
  if (found) return found;
  try {
    return found = libcSymbols({
      ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
      waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
      posix_spawn: { args: ["ptr", "ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
      posix_spawnattr_init: { args: ["ptr"], returns: "i32" },
      posix_spawnattr_setflags: { args: ["ptr", "i16"], returns: "i32" },
      posix_spawnattr_setsigdefault: { args: ["ptr", "ptr"], returns: "i32" },
      posix_spawnattr_setsigmask: { args: ["ptr", "ptr"], returns: "i32" },
      posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
      posix_spawn_file_actions_destroy: { args: ["ptr"], returns: "i32" },
      posix_spawn_file_actions_addopen: { args: ["ptr", "i32", "ptr", "i32", "u32"], returns: "i32" },
      posix_spawn_file_actions_adddup2: { args: ["ptr", "i32", "i32"], returns: "i32" },
      posix_spawn_file_actions_addchdir_np: { args: ["ptr", "ptr"], returns: "i32" }, // glibc 2.29
    });
  } catch (error) {
    throw unsupported(`this libc lacks a function: ${error}`);
  }
}

let closeFrom: ((actions: unknown, first: number) => number) | null | undefined;

/** `posix_spawn_file_actions_addclosefrom_np`; null before glibc 2.34. */
export function addCloseFrom(): ((actions: unknown, first: number) => number) | null {
  if (closeFrom !== undefined) return closeFrom;
  try {
    closeFrom = libcSymbols({
      posix_spawn_file_actions_addclosefrom_np: { args: ["ptr", "i32"], returns: "i32" },
    }).posix_spawn_file_actions_addclosefrom_np;
  } catch {
    closeFrom = null;
  }
  return closeFrom;
}
