import type { OutputLog } from "./output_log.ts";

/** What became of a write: the words of the wire. */
export type WriteStatus = "accepted" | "unknownProcess" | "stdinClosed" | "starting";

/** What a local and a remote process have in common: a log that fills, and the things one can do to a process. */
export interface ProcessControl {
  readonly id: string;
  readonly log: OutputLog;
  /** False: it was started without an input to write to. Undefined: not known. */
  readonly takesInput: boolean | undefined;
  /** Number of the first event that its readers get: 1, or later for one that was attached to later. */
  readonly firstSeq: number;
  /**
   * Queues bytes for standard input; resolves when there is room for more.
   * @param writeId the same id is written once, whatever the bytes
   */
  write(bytes: Uint8Array, writeId: string): Promise<WriteStatus>;
  /** End-of-file on standard input, after what was written before. */
  closeStdin(): Promise<WriteStatus>;
  /** SIGINT to the process group. */
  interrupt(): Promise<void>;
  /** SIGKILL to the process group; false when the leader had exited. */
  terminate(): Promise<boolean>;
}
