/** A child process with a terminal of its own: what every runtime's way to one is reduced to. */
import type { ByteSink, ByteSource, ChildExit, ExtraDescriptors, ExtraEnds, SpawnOptions } from "./child.ts";
import { runtime } from "./detect.ts";

/** The size of a terminal, in characters. */
export interface TerminalSize {
  readonly rows: number;
  readonly cols: number;
}

/** The input of a terminal as its reader has it. */
export interface TerminalInput {
  /** Something is there that has not been read. */
  readonly some: boolean;
  /** It is read line by line, and there is an end-of-file (ICANON of termios(3)); else key by key. */
  readonly byLine: boolean;
}

/** What to run. */
export interface TerminalOptions extends Omit<SpawnOptions, "stdin"> {
  readonly size: TerminalSize;
  /**
   * Descriptors beside the first three, compiled only. Such a child leads a session without a controlling terminal:
   * a descendant that leads one of its own may take it (TIOCSCTTY).
   */
  readonly extra?: ExtraDescriptors | undefined;
}

/** A running child with a controlling terminal. It leads its own session and process group. */
export interface TerminalChild {
  readonly pid: number;
  /**
   * The keyboard. A terminal has no end-of-file of its own: whoever wants one writes the EOF character, and
   * `close()` only stops writing. A write rejects with EPIPE once the terminal is gone.
   */
  readonly input: ByteSink;
  /**
   * What is on the screen, as bytes. Ends when the child has been reaped and nobody else has the terminal open.
   * `close()` before that takes the terminal away: the kernel sends SIGHUP to the child.
   */
  readonly output: ByteSource;
  /** There when extra descriptors were asked for. */
  readonly extra?: ExtraEnds | undefined;
  /** Resolves when the child has been reaped. Output may still follow. */
  readonly exited: Promise<ChildExit>;
  /** What whoever reads the terminal finds. Undefined where that cannot be known: under Node and Deno. */
  readonly unread?: (() => TerminalInput) | undefined;
  /** Changes the size; the foreground process group gets SIGWINCH. Does nothing once the terminal is gone. */
  resize(size: TerminalSize): void;
}

// Loaded on demand: each runtime loads only its own way to a terminal.
type Spawn = (options: TerminalOptions) => TerminalChild | Promise<TerminalChild>;
const load: () => Promise<Spawn> = runtime === "bun"
  ? async () => (await import("./terminal_bun.ts")).spawnTerminalBun
  : async () => (await import("./terminal_node.ts")).spawnTerminalNode;

let implementation: Spawn | undefined;

/**
 * Starts a child on a new terminal, in a session and process group of its own.
 * @throws an error with a POSIX `code` (`ENOENT`, `EACCES`, `ENOEXEC`, `E2BIG`, `EMFILE`, `EAGAIN` …), or with the
 * code `UNSUPPORTED` where no terminal can be had
 */
export async function spawnTerminal(options: TerminalOptions): Promise<TerminalChild> {
  implementation ??= await load();
  return await implementation(options);
}
