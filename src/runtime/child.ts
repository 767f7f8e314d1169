/** A child process with raw byte pipes: what every runtime's spawn is reduced to. */

/** What to run. Everything is resolved: an absolute program, an existing directory, the exact environment. */
export interface SpawnOptions {
  /** Absolute path of the program. */
  readonly file: string;
  /** argv[0] as the child sees it, then the arguments. */
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** A pipe as standard input, else `/dev/null`. */
  readonly stdin: boolean;
  /** Descriptors beside the first three. */
  readonly extra?: ExtraDescriptors | undefined;
}

/** Descriptors from 3 on, in this order. Each is the child's only; ours are not inherited. */
export interface ExtraDescriptors {
  /** Open for reading. They stay ours to close, once the child has been started. */
  readonly files: readonly number[];
  /** How many pipes the child writes to. */
  readonly outputs: number;
  /** How many pipes the child reads from. */
  readonly inputs: number;
}

/** Our ends of {@link ExtraDescriptors}. */
export interface ExtraEnds {
  readonly outputs: readonly ByteSource[];
  readonly inputs: readonly ByteSink[];
}

/** Bytes from a child. Nothing is read from the pipe before it is asked for. */
export interface ByteSource {
  /** The next bytes, or null at end-of-file and after {@link close}. One call at a time. */
  read(): Promise<Uint8Array | null>;
  /** True when bytes may be waiting that the last {@link read} has not returned; false only when surely none are. */
  mayHaveMore(): boolean;
  /** Releases the pipe; a pending read ends with null. */
  close(): void;
}

/** Bytes to a child. */
export interface ByteSink {
  /** Resolves when the kernel has taken every byte. Rejects with EPIPE when nobody reads any more. */
  write(bytes: Uint8Array): Promise<void>;
  /** End-of-file after what was written. Call it once no write is pending. */
  close(): void;
  /** Gives up at once, whatever is pending. */
  destroy(): void;
}

/** How a child ended, as the kernel tells it. */
export interface ChildExit {
  readonly code: number | null;
  /** Signal number. */
  readonly signal: number | null;
}

/** A running child. It leads its own session and process group: its pid is the group's id. */
export interface Child {
  readonly pid: number;
  readonly stdin: ByteSink | null;
  readonly stdout: ByteSource;
  readonly stderr: ByteSource;
  /** There when extra descriptors were asked for. */
  readonly extra?: ExtraEnds | undefined;
  /** Resolves when the child has been reaped. Output may still follow. */
  readonly exited: Promise<ChildExit>;
}
