import { type ChildProcessByStdio, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Readable } from "node:stream";
import { programUnderTest, register, send } from "./program.ts";
import { tempDir, tempDirIn } from "./temp.ts";
import { type ConnectOptions, connectWire, type WireClient } from "./wire_client.ts";

const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 5_000;
/** What a server says to root. The tests run as whoever runs them. */
const ROOT_WARNING = /^.* warn running as root: .*\n/m;

/** True when the program under test is the original `codex exec-server` instead of ours. */
export const isCodex: boolean = process.env["EXEC_SERVER_KIND"] === "codex";

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** How a process ended, and everything that it printed. */
export interface Ended extends Exit {
  stdout: string;
  stderr: string;
}

/** What to start the program with. */
export interface ServerOptions {
  /** Arguments after `serve`; `--listen ws://127.0.0.1:0` is added unless they hold a `--listen`. */
  args?: string[];
  /** Added to the test's own environment; `undefined` removes a variable. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** The account to run as (its group has the same number); for a test that is root. */
  uid?: number | undefined;
  /** This copy of the compiled program instead of the one under test. */
  program?: string | undefined;
  /** The real codex at this path instead of the program under test. */
  codex?: string;
}

/** A file with a URL and the token in it, for `--url-file`: as an argument everyone could read it. */
export function urlFile(url: string): string {
  const path = join(tempDir(), "url");
  writeFileSync(path, url, { mode: 0o600 });
  return path;
}

/** A running server. */
export interface TestServer {
  url: string;
  pid: number;
  process: ChildProcessByStdio<null, Readable, Readable>;
  stdout(): string;
  /** What it has said so far, but for its warning to root. */
  stderr(): string;
  /** Opens a connection of its own; see {@link connectWire}. */
  connect(options?: ConnectOptions): Promise<WireClient>;
  /** Sends `signal` (SIGTERM), after five seconds SIGKILL to the whole group, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
  exited: Promise<Exit>;
}

/** Starts the program of EXEC_SERVER_BIN and resolves when it has printed its URL. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const started = launch(options, ["--listen", "ws://127.0.0.1:0"]);
  const url = await started.firstLine();
  const { child, pid, exited } = started;
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> => {
    send(pid, signal);
    const timer = setTimeout(() => send(-pid, "SIGKILL"), STOP_LIMIT_MS);
    const exit = await exited;
    clearTimeout(timer);
    send(-pid, "SIGKILL"); // what the server left in its own group
    return exit;
  };
  return {
    url,
    pid,
    process: child,
    stdout: started.stdout,
    stderr: started.stderr,
    connect: (o) => connectWire(url, o),
    stop,
    exited,
  };
}

/** Starts a server for one check, and stops it. @param args as of {@link ServerOptions} */
export async function withServer(
  args: string[],
  check: (server: TestServer) => Promise<void>,
): Promise<void> {
  const server = await startServer({ args });
  try {
    await check(server);
  } finally {
    await server.stop();
  }
}

/** Runs the program with exactly these arguments until it ends by itself (for refused arguments). */
export function runServer(options: ServerOptions): Promise<Ended> {
  return launch(options, []).ended();
}

function launch(options: ServerOptions, defaultListen: string[]) {
  const codex = options.codex !== undefined || isCodex;
  const given = options.codex ?? options.program;
  const [program, before] = given === undefined ? programUnderTest() : [given, []];
  const args = options.args ?? [];
  const listens = args.some((a) => a === "--listen" || a.startsWith("--listen="));
  const argv = [...before, codex ? "exec-server" : "serve", ...args, ...(listens ? [] : defaultListen)];
  const child = spawn(program, argv, {
    cwd: options.cwd,
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    detached: true,
    env: { ...process.env, ...(codex ? { CODEX_HOME: codexHome() } : {}), ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const pid = child.pid ?? 0;
  if (pid > 0) register(pid, child);
  let out = "", err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => out += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => err += text);
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  failed.catch(() => {}); // reported by whoever waits for the program
  const when = (event: "exit" | "close") =>
    Promise.race([
      failed,
      new Promise<Exit>((ok) => child.once(event, (code, signal) => ok({ code, signal }))),
    ]);
  const exited = when("exit");
  const closed = when("close");
  exited.catch(() => {});
  closed.catch(() => {});

  const limit = <T>(what: string, ended: Promise<T>): Promise<T> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`${program} ${argv.join(" ")}: ${what} took too long\n${err}`)),
        START_LIMIT_MS,
      );
    });
    return Promise.race([ended, late]).catch((error: unknown) => {
      if (pid > 0) send(-pid, "SIGKILL");
      throw error;
    }).finally(() => clearTimeout(timer));
  };
  return {
    child,
    pid,
    exited,
    stdout: () => out,
    stderr: () => err.replace(ROOT_WARNING, ""),
    ended: () => limit("the end", closed.then((exit): Ended => ({ ...exit, stdout: out, stderr: err }))),
    firstLine: () => {
      const line = new Promise<string>((ok) => {
        child.stdout.on("data", function look() {
          const end = out.indexOf("\n");
          if (end < 0) return;
          child.stdout.off("data", look);
          ok(out.slice(0, end));
        });
      });
      const ended = closed.then((exit): never => {
        throw new Error(`${program} ended before it printed a URL: ${JSON.stringify(exit)}\n${out}${err}`);
      });
      return limit("the URL", Promise.race([line, ended]));
    },
  };
}

/** The original refuses helper programs below TMPDIR, so its home lies beside it. */
function codexHome(): string {
  return tempDirIn("/var/tmp");
}
