/** Terminals under Node and Deno: an addon makes them, reading and writing is ours. */
import { closeSync, constants, openSync } from "node:fs";
import { ReadStream } from "node:tty";
import type { ChildExit } from "./child.ts";
import { deferred } from "./deferred.ts";
import { ownedChildren } from "./owned_children.ts";
import { isLiving, readStat } from "./proc_stat.ts";
import type { TerminalChild, TerminalOptions } from "./terminal.ts";
import { ptyAddon } from "./terminal_addon_node.ts";
import { commandFor } from "./terminal_argv_node.ts";
import { checkStart } from "./terminal_checks_node.ts";
import { codedError, unsupported } from "./coded_error.ts";
import { terminalSink } from "./terminal_sink.ts";
import { terminalSource } from "./terminal_source_node.ts";
import { writeNow } from "./terminal_write_node.ts";

const NO_CHANGE = -1;
/** A child takes its terminal within a ms; on a busy machine it takes longer. Each look is followed by 1 ms. */
const MAX_LOOKS = 1_000;

/** Starts a child on a new terminal. @throws an error with a POSIX code, or with UNSUPPORTED */
export async function spawnTerminalNode(options: TerminalOptions): Promise<TerminalChild> {
  if (options.extra) throw unsupported("one in a sandbox takes the compiled program");
  const { addon, helper } = ptyAddon();
  const write = writeNow();
  checkStart(options);
  const { file, args } = commandFor(options);
  const env = Object.entries(options.env).map(([name, value]) => `${name}=${value}`);
  const { rows, cols } = options.size;
  const exited = deferred<ChildExit>();
  let release = () => {};
  const onExit = (code: number, signal: number) => {
    ownedChildren.delete(pid);
    release();
    exited.resolve(signal === 0 ? { code, signal: null } : { code: null, signal });
  };
  const { fd, pid, pty } = forked(() =>
    addon.fork(file, args, env, options.cwd, cols, rows, NO_CHANGE, NO_CHANGE, true, helper, onExit)
  );
  ownedChildren.add(pid);
  release = hold(pty);
  const stream = new ReadStream(fd, { allowHalfOpen: true });
  const output = terminalSource(stream, fd);
  const input = terminalSink((bytes) => {
    // The stream owns the descriptor: once it is destroyed, the number may be somebody else's.
    if (stream.destroyed) throw codedError("EPIPE", "the terminal is gone");
    return write(fd, bytes);
  });
  stream.on("close", () => input.destroy());
  await terminalTaken(pid);
  return {
    pid,
    input,
    output,
    exited: exited.promise,
    resize(size) {
      if (!stream.destroyed) addon.resize(fd, size.cols, size.rows);
    },
  };
}

/** The addon comes back from its fork(2) before the child has the terminal; a Ctrl-C until then would reach nobody. */
async function terminalTaken(pid: number): Promise<void> {
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const child = readStat(pid); // nothing where there is no /proc, and when it has ended already
    if (!child || !isLiving(child) || child.foreground === pid) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** The addon says only that it failed, not why: no process, no descriptor, or no terminal is left. */
function forked<T>(fork: () => T): T {
  try {
    return fork();
  } catch (error) {
    throw codedError("EAGAIN", error instanceof Error ? error.message : String(error));
  }
}

/**
 * Keeps the child's side of the terminal open until its exit: else the master reports the end while the child has
 * closed all of its descriptors for now.
 */
function hold(path: string): () => void {
  try {
    const fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY);
    return () => closeSync(fd);
  } catch {
    return () => {};
  }
}
