/** Facts about this machine. */
import { tmpdir } from "node:os";
import { basename } from "node:path";
import process from "node:process";
import { fileNamesAreBytes } from "../runtime/abilities.ts";
import { loginShell } from "../runtime/login_shell.ts";
import { homeFolder } from "../runtime/user_folders.ts";
import { VERSION } from "../version.ts";
import type { EnvironmentInfo, Info } from "./trait.ts";

/** What a server (or a local environment) of this build can do beyond the reference's basics. */
export const CAPABILITIES: Readonly<Record<string, boolean>> = {
  /** `process/closeStdin` exists. */
  processCloseStdin: true,
  /** `process/list` exists. */
  processList: true,
  /** `process/start` knows `size`; `process/resize` exists. */
  processResize: true,
  /** `process/signal` knows the signals of POSIX. */
  processSignals: true,
  /** `process/terminate` knows `graceMs`, and reaches everything that came of a process. */
  processTerminateTree: true,
  /** `process/start` knows `timeoutMs` and `timeoutGraceMs`. */
  processTimeout: true,
  /** `process/start` knows `limits`. */
  processLimits: true,
  /** `process/observe` and `process/unobserve` exist. */
  processObserve: true,
  /** `process/start` knows `startId`. */
  processStartId: true,
  /** `process/outputAck` is understood, `initialize` knows `acknowledgesOutput` and `cursors`. */
  outputAcknowledgement: true,
  /** `fs/open` knows the mode `replace`; `fs/writeBlock` exists. A name of the reference. */
  fileWriteStreaming: true,
  /** `fs/open` knows `sandbox`. A name of the reference. */
  sandboxedFileStreaming: true,
  /** `fs/open` knows the mode `replaceOnCommit`, `fs/close` knows `commit`. */
  fileReplaceOnCommit: true,
  /** Paths that are not UTF-8 can be addressed. Deno's file functions cannot name them; there they are refused. */
  nonUtf8Paths: fileNamesAreBytes,
};

/** This machine's facts, taken once. */
export function localInfo(): Info {
  const info = gather();
  return { get: () => Promise.resolve(info) };
}

function gather(): EnvironmentInfo {
  const path = loginShell();
  return {
    shell: { name: basename(path), path },
    version: VERSION,
    cwd: process.cwd(),
    homeDirectory: homeFolder(),
    tempDirectory: tmpdir(),
    os: process.platform === "darwin" ? "macos" : process.platform === "win32" ? "windows" : process.platform,
    capabilities: CAPABILITIES,
  };
}
