import type { OutputLog } from "./output_log.ts";
import type { SignalName, TerminalSize, TerminateOptions, Termination } from "./trait.ts";

/** What became of a write: the words of the wire. */
export type WriteStatus = "accepted" | "unknownProcess" | "stdinClosed" | "starting";

/** What a local and a remote process have in common: a log that fills, and the things one can do to a process. */
export interface ProcessControl {
  readonly id: string;
  readonly log: OutputLog;
  /** False: it was started without an input to write to. Undefined: not known. */
  readonly takesInput: boolean | undefined;
  /** It is another session's: nothing can be done to it, and it does not wait for those who read here. */
  readonly observed?: true;
  /** Number of the first event that its readers get: 1, or later for one that was attached to later. */
  readonly firstSeq: number;
  /**
   * Queues bytes for standard input; resolves when there is room for more.
   * @param writeId the same id is written once, whatever the bytes
   */
  write(bytes: Uint8Array, writeId: string): Promise<WriteStatus>;
  /**
   * End-of-file on standard input, after what was written before. In a terminal it is a character, typed at each call,
   * unless it is `final`: then nothing follows, and whoever reads finds the end, however often.
   */
  closeStdin(options?: { readonly final?: boolean }): Promise<WriteStatus>;
  /** A signal to the process group, as {@link Process.signal} says. */
  signal(name: SignalName | "interrupt"): Promise<void>;
  /** The size of its terminal. */
  resize(size: TerminalSize): Promise<void>;
  /** Ends everything that came of it. */
  terminate(options?: TerminateOptions): Promise<Termination>;
}
