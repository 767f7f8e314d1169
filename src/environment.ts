/** A place where commands run and files are: this machine, or another one behind a server. */
import process from "node:process";
import { connect, type Connection, type ConnectOptions } from "./client/connect.ts";
import { localFiles } from "./files/local.ts";
import { nativePathText } from "./files/native_path.ts";
import { remoteFiles } from "./files/remote.ts";
import type { Files } from "./files/trait.ts";
import { localInfo } from "./info/local.ts";
import { remoteInfo } from "./info/remote.ts";
import type { Info } from "./info/trait.ts";
import { processHandle } from "./process/handle.ts";
import { createLocalProcesses, type LocalProcess } from "./process/local.ts";
import { memoryRetention } from "./process/retention.ts";
import { remoteProcesses } from "./process/remote.ts";
import { ExecServerError } from "./protocol/error.ts";
import type { Caller } from "./rpc/caller.ts";
import { INHERIT_ALL_BUT_SECRETS, type Processes } from "./process/trait.ts";

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
   * Lets go of it. Local processes are killed; a server's session goes on without us until its time to live is over.
   */
  close(): Promise<void>;
}

/** Ways to get an {@link Environment}. */
export const Environment = {
  /**
   * This machine.
   * @example
   * ```ts
   * import { Environment } from "./mod.ts";
   *
   * await using here = Environment.local();
   * const echo = await here.processes.start({ argv: ["echo", "hello"] });
   * console.log(await new Response(echo.stdout).text()); // hello
   * ```
   */
  local(): Environment {
    const processes = createLocalProcesses(memoryRetention());
    const closed = async () => await processes.dispose();
    return {
      info: localInfo(),
      files: localFiles(),
      processes: {
        async start(options) {
          options.signal?.throwIfAborted();
          const started = await processes.start({
            id: options.id ?? crypto.randomUUID(),
            argv: options.argv,
            cwd: nativePathText(options.cwd ?? process.cwd()),
            env: options.env ?? {},
            envPolicy: options.envPolicy ?? INHERIT_ALL_BUT_SECRETS,
            pipeStdin: options.pipeStdin ?? false,
            tty: options.tty ?? false,
            arg0: options.arg0,
          });
          forgetWhenClosed(started, () => processes.remove(started.id));
          return processHandle(started, options.signal);
        },
      },
      sessionId: undefined,
      close: closed,
      [Symbol.asyncDispose]: closed,
    };
  },

  /**
   * The machine where a server listens.
   * @param url `ws://…` or `wss://…`
   * @throws ExecServerError `CONNECT_FAILED`, `TIMEOUT`, `UNKNOWN_SESSION`, `SESSION_ATTACHED`
   * @example
   * ```ts
   * import { Environment } from "./mod.ts";
   *
   * await using there = await Environment.connect("ws://127.0.0.1:9000");
   * await there.files.write("/tmp/greeting", new TextEncoder().encode("hello"));
   * const cat = await there.processes.start({ argv: ["cat", "/tmp/greeting"] });
   * console.log(await new Response(cat.stdout).text()); // hello
   * console.log(await cat.wait()); // { exitCode: 0 }
   * ```
   */
  async connect(url: string | URL, options: ConnectOptions = {}): Promise<Environment> {
    const link: { connection?: Connection; defaultCwd?: string | undefined } = {};
    let paused = false;
    const caller: Caller = {
      call(method, params, how) {
        if (!link.connection) throw new ExecServerError("DISCONNECTED", "not connected yet");
        return link.connection.call(method, params, how);
      },
    };
    const processes = remoteProcesses(caller, () => link.defaultCwd);
    const relax = () => {
      if (!paused || processes.unreadBytes >= MAX_UNREAD_BYTES) return;
      paused = false;
      link.connection?.channel.resume();
    };
    const connection = link.connection = await connect(url, options, (method, params) => {
      if (!processes.receive(method, params)) return; // unknown notifications are ignored
      if (paused || processes.unreadBytes < MAX_UNREAD_BYTES) return;
      paused = true;
      link.connection?.channel.pause();
      processes.onRead(relax);
    });
    const info = remoteInfo(connection, connection.info);
    connection.ended.then((reason) => processes.fail(reason));
    link.defaultCwd = (await info.get()).cwd;
    const { close } = connection;
    return {
      info,
      files: remoteFiles(connection),
      processes,
      sessionId: connection.sessionId,
      close,
      [Symbol.asyncDispose]: close,
    };
  },
};

/** Output that may wait in a client for its readers before it stops reading the socket. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

function forgetWhenClosed(started: LocalProcess, forget: () => void): void {
  started.ended.then(forget, forget);
}
