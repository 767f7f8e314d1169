/** A place where commands run and files are: this machine, or another one behind a server. */
import { realpathSync } from "node:fs";
import { type Link, openLink, type RemoteOptions } from "./client/link.ts";
import { ownFiles } from "./files/local_sandboxed.ts";
import { remoteFiles } from "./files/remote.ts";
import type { Files } from "./files/trait.ts";
import { localInfo } from "./info/local.ts";
import { remoteInfo } from "./info/remote.ts";
import type { Info } from "./info/trait.ts";
import { inProcess } from "./process/in_process.ts";
import { type ProcessWire, remoteProcesses } from "./process/remote.ts";
import { ExecServerError, toExecServerError } from "./protocol/error.ts";
import { createEnforcement } from "./sandbox/enforcement.ts";
import type { Processes } from "./process/trait.ts";

/** Commands, files and facts of one machine. */
export interface Environment extends AsyncDisposable {
  /** Facts about the machine. */
  readonly info: Info;
  /** Starts commands. */
  readonly processes: Processes;
  /** Reads and changes files. */
  readonly files: Files;
  /** The session's id on the server; undefined for a local environment. */
  readonly sessionId: string | undefined;
  /**
   * How long the session lives without a connection, in ms; then what runs in it is ended. Undefined for a local
   * environment, and when the server does not tell.
   */
  readonly sessionTtlMs: number | undefined;
  /**
   * Lets go of it, and of its open files, without a commit. Local processes are killed; a server's session goes on
   * without us until its time to live is over.
   */
  close(): Promise<void>;
}

/** Options of {@link Environment.local}. */
export interface LocalOptions {
  /**
   * Path of the compiled exec-server: it carries out file operations in a sandbox, as a process in there. Default: this
   * program, when it is that; else they are refused (`SANDBOX_UNAVAILABLE`).
   */
  readonly executable?: string;
}

/** Ways to get an {@link Environment}. */
export const Environment = {
  /**
   * This machine. Sandboxes are Linux with bubblewrap; from source a terminal in one is refused.
   * @throws ExecServerError the POSIX name (`ENOENT` …) when there is no such executable
   * @example
   * ```ts
   * import { Environment } from "./mod.ts";
   *
   * await using here = Environment.local();
   * const echo = await here.processes.start({ argv: ["echo", "hello"] });
   * console.log(await new Response(echo.stdout).text()); // hello
   * ```
   */
  local(options: LocalOptions = {}): Environment {
    const enforcement = createEnforcement();
    const processes = inProcess(enforcement);
    const files = ownFiles(enforcement, helperOf(options));
    const close = async () => {
      await Promise.all([processes.close(), files.close()]);
    };
    return {
      info: localInfo(),
      files,
      processes,
      sessionId: undefined,
      sessionTtlMs: undefined,
      close,
      [Symbol.asyncDispose]: close,
    };
  },

  /**
   * The machine where a server listens.
   * @param url `ws://…`, `wss://…` or `unix:PATH`, as the server printed it: with its token in the query
   * @throws ExecServerError `CONNECT_FAILED`, `TLS_FAILED`, `UNAUTHORIZED`, `REFUSED`, `TIMEOUT`, `UNKNOWN_SESSION`,
   * `SESSION_ATTACHED`, `INVALID_REQUEST` for what is no URL
   * @example
   * ```ts
   * import { Environment } from "./mod.ts";
   *
   * await using there = await Environment.connect("ws://127.0.0.1:9000/?token=…");
   * await there.files.write("/tmp/greeting", new TextEncoder().encode("hello"));
   * const cat = await there.processes.start({ argv: ["cat", "/tmp/greeting"] });
   * console.log(await new Response(cat.stdout).text()); // hello
   * console.log(await cat.wait()); // { exitCode: 0 }
   * ```
   */
  async connect(url: string | URL, options: RemoteOptions = {}): Promise<Environment> {
    let link: Link | undefined = undefined;
    let defaultCwd: string | undefined = undefined;
    const wire: ProcessWire = {
      call(method, params, how) {
        if (!link) throw new ExecServerError("DISCONNECTED", "not connected yet");
        return link.call(method, params, how);
      },
      can: (capability) => link?.can(capability) ?? false,
      notify: (name, params) => link?.notify(name, params),
      hold: (stop) => link?.hold(stop),
    };
    const processes = remoteProcesses(wire, () => defaultCwd);
    const opened = await openLink(url, options, {
      notification: (method, params) => processes.receive(method, params),
      frame: (frame) => processes.receiveFrame(frame),
      cursors: () => processes.cursors(),
      readMissed: (caller) => processes.readMissed(caller),
      ended: (reason) => processes.fail(reason),
    });
    link = opened;
    const info = remoteInfo(opened, opened.info);
    defaultCwd = (await info.get()).cwd;
    return {
      info,
      files: remoteFiles(opened),
      processes,
      sessionId: opened.sessionId,
      sessionTtlMs: opened.sessionTtlMs,
      close: () => opened.close(),
      [Symbol.asyncDispose]: () => opened.close(),
    };
  },
};

/** The helper's own path: a link to it would not be there inside a sandbox. */
function helperOf({ executable }: LocalOptions): { readonly executable?: string } {
  if (executable === undefined) return {};
  try {
    return { executable: realpathSync(executable) };
  } catch (error) {
    throw toExecServerError(error);
  }
}
