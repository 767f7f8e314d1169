/**
 * Run commands and work with files, here or where an exec-server is.
 *
 * @example
 * ```ts
 * import { Environment } from "./mod.ts";
 *
 * await using here = Environment.local();
 * const date = await here.processes.start({ argv: ["date"] });
 * console.log(await new Response(date.stdout).text());
 * ```
 *
 * @module
 */
export { Environment, type LocalOptions } from "./src/environment.ts";
export { type ConnectOptions, DEFAULT_CONNECT_TIMEOUT_MS } from "./src/client/connect.ts";
export type { TlsOptions } from "./src/client/target.ts";
export type { ConnectionState, RemoteOptions } from "./src/client/link.ts";
export { type ErrorName, ExecServerError } from "./src/protocol/error.ts";
export type { EnvironmentInfo, Info } from "./src/info/trait.ts";
export type {
  DirectoryEntry,
  FileOpenOptions,
  FileOptions,
  FilePath,
  Files,
  FileStat,
  LinkOptions,
  OpenFile,
  WalkEntry,
  WalkOptions,
  WalkResult,
} from "./src/files/trait.ts";
export type { Sandbox } from "./src/sandbox/trait.ts";
export {
  type EnvPolicy,
  type ExitStatus,
  INHERIT_ALL_BUT_SECRETS,
  INHERIT_NOTHING,
  type OutputStream,
  type Process,
  type Processes,
  type ProcessEvent,
  type ProcessSummary,
  type ProcessUsage,
  type ResourceLimits,
  type RetainedOutput,
  type SignalName,
  type StartOptions,
  type TerminalSize,
  type TerminateOptions,
  type Termination,
} from "./src/process/trait.ts";
