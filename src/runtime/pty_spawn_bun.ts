/** `posix_spawn` on a terminal. No shell in between: it would cost a millisecond and could not set argv[0]. */
import { readdirSync } from "node:fs";
import { Buffer } from "node:buffer";
import { libc as plain, ptr } from "./bun.ts";
import { addCloseFrom, type PtyLibc, ptyLibc } from "./pty_libc_bun.ts";
import type { TerminalOptions } from "./terminal.ts";
import { codedError, errnoError } from "./coded_error.ts";

const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80; // glibc 2.26
const O_RDWR = 2;
const O_NOCTTY = 0o400;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const STRUCT_BYTES = 1024; // posix_spawnattr_t has 336, the file actions 80
const SIGSET_BYTES = 128;

/** What the kernel reads during the call by address only: kept reachable here so that it is not collected. */
const inUse = new Set<unknown>();

/**
 * Starts a session leader whose controlling terminal and first three descriptors are `slave`. @throws POSIX code
 * @param extra what becomes 3, 4 …; with it the terminal controls nobody yet
 */
export function spawnOn(slave: string, options: TerminalOptions, extra?: readonly number[]): number {
  const libc = ptyLibc();
  const argv = strings(options.argv);
  const env = strings(Object.entries(options.env).map(([name, value]) => `${name}=${value}`));
  const file = strings([options.file]).bytes;
  const pid = new Int32Array(1);
  const signals = new Uint8Array(SIGSET_BYTES);
  const attributes = new Uint8Array(STRUCT_BYTES);
  libc.posix_spawnattr_init(ptr(attributes));
  libc.posix_spawnattr_setflags(ptr(attributes), SETSID | SETSIGDEF | SETSIGMASK);
  libc.posix_spawnattr_setsigmask(ptr(attributes), ptr(signals));
  libc.posix_spawnattr_setsigdefault(ptr(attributes), ptr(signals.fill(0xff)));
  const actions = new Uint8Array(STRUCT_BYTES);
  libc.posix_spawn_file_actions_init(ptr(actions));
  const held = [argv, env];
  inUse.add(held);
  try {
    addActions(libc, actions, { slave, cwd: options.cwd, extra });
    const error = libc.posix_spawn(
      ptr(pid),
      ptr(file),
      ptr(actions),
      ptr(attributes),
      ptr(argv.pointers),
      ptr(env.pointers),
    );
    if (error !== 0) throw errnoError(error, `cannot start ${options.file}`);
  } finally {
    inUse.delete(held);
    libc.posix_spawn_file_actions_destroy(ptr(actions));
  }
  return pid[0] ?? 0;
}

function addActions(
  libc: PtyLibc,
  actions: Uint8Array,
  { slave, cwd, extra }: { slave: string; cwd: string; extra: readonly number[] | undefined },
): void {
  const check = (error: number) => {
    if (error !== 0) throw errnoError(error, "cannot prepare the start");
  };
  const flags = O_RDWR | (extra ? O_NOCTTY : 0);
  check(libc.posix_spawn_file_actions_addopen(ptr(actions), 0, ptr(strings([slave]).bytes), flags, 0));
  check(libc.posix_spawn_file_actions_adddup2(ptr(actions), 0, 1));
  check(libc.posix_spawn_file_actions_adddup2(ptr(actions), 0, 2));
  check(libc.posix_spawn_file_actions_addchdir_np(ptr(actions), ptr(strings([cwd]).bytes)));
  extra?.forEach((fd, index) => {
    check(libc.posix_spawn_file_actions_adddup2(ptr(actions), fd, 3 + index));
  });
  const closeFrom = addCloseFrom();
  if (closeFrom) check(closeFrom(ptr(actions), 3 + (extra?.length ?? 0)));
  else keepFromChildren();
}

/** Marks what this program itself inherited; what it opens is marked already. */
function keepFromChildren(): void {
  for (const name of readdirSync("/proc/self/fd")) {
    if (Number(name) > 2) plain.fcntl(Number(name), F_SETFD, FD_CLOEXEC);
  }
}

/** C strings one after the other, and the null-terminated array of their addresses. */
function strings(texts: readonly string[]): { bytes: Uint8Array; pointers: BigUint64Array } {
  if (texts.some((text) => text.includes("\0"))) throw codedError("EINVAL", "a NUL in an argument");
  const bytes = Buffer.from(texts.map((text) => `${text}\0`).join("") + "\0");
  const pointers = new BigUint64Array(texts.length + 1);
  const address = ptr(bytes);
  if (typeof address !== "number") throw new Error("unreachable: bun:ffi gives addresses as numbers");
  let offset = 0;
  texts.forEach((text, place) => {
    pointers[place] = BigInt(address + offset);
    offset += Buffer.byteLength(text) + 1;
  });
  return { bytes, pointers };
}
