import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { programUnderTest, register, send } from "./program.ts";
import type { Exit } from "./server.ts";

const LIMIT_MS = 60_000;

/** How the program ended, and what it printed. */
export interface CliEnd extends Exit {
  bytes: Buffer;
  stdout: string;
  stderr: string;
}

/** How to run it. */
export interface CliOptions {
  env?: Record<string, string | undefined>;
  cwd?: string;
  /**
   * What a pipe as standard input carries; `open`: nothing, for as long as it runs. A number: that descriptor, just as it is.
   * Absent: /dev/null.
   */
  stdin?: Uint8Array | string | number;
}

/** A running command. */
export interface RunningCli {
  pid: number;
  /** Resolves when the standard output so far has a whole line, with the first one. */
  firstLine(): Promise<string>;
  /** The standard output so far. */
  output(): string;
  /** Sends a signal to the program itself, not to its group. */
  signal(name: NodeJS.Signals): void;
  ended: Promise<CliEnd>;
}

/** Runs the program with these arguments to its end. */
export function runCli(args: string[], options: CliOptions = {}): Promise<CliEnd> {
  return startCli(args, options).ended;
}

/** Starts the program with these arguments. */
export function startCli(args: string[], options: CliOptions = {}): RunningCli {
  const [program, before] = programUnderTest();
  return start(program, [...before, ...args], options);
}

/** Runs a line of shell in which `"$@"` is the program. */
export function runInShell(script: string, options: CliOptions = {}): Promise<CliEnd> {
  const [program, before] = programUnderTest();
  return start("/bin/sh", ["-c", script, "sh", program, ...before], options).ended;
}

function start(program: string, argv: string[], options: CliOptions): RunningCli {
  const { stdin } = options;
  const inherited = typeof stdin === "number" ? [stdin] : [];
  // Node would make descriptors 0 to 2 of a child blocking.
  const direct = inherited.length === 0
    ? [program, ...argv]
    : ["/bin/sh", "-c", 'exec "$@" <&3 3<&-', "sh", program, ...argv];
  const [file = program, ...args] = direct;
  const child: ChildProcess = spawn(file, args, {
    cwd: options.cwd,
    detached: true,
    env: { ...process.env, EXEC_SERVER_URL: "local", ...options.env },
    stdio: [stdin === undefined || inherited.length > 0 ? "ignore" : "pipe", "pipe", "pipe", ...inherited],
  });
  const pid = child.pid ?? 0;
  if (pid > 0) register(pid, child);
  child.stdin?.on("error", () => {}); // it need not read all
  if (typeof stdin !== "number" && stdin !== undefined && stdin !== "open") child.stdin?.end(stdin);
  const out: Buffer[] = [], err: Buffer[] = [];
  child.stdout?.on("data", (data: Buffer) => out.push(data));
  child.stderr?.on("data", (data: Buffer) => err.push(data));
  const timer = setTimeout(() => send(-pid, "SIGKILL"), LIMIT_MS);
  const ended = new Promise<CliEnd>((ok, fail) => {
    child.once("error", fail);
    child.once("close", (code, signal) => {
      const bytes = Buffer.concat(out);
      ok({ code, signal, bytes, stdout: bytes.toString(), stderr: Buffer.concat(err).toString() });
    });
  }).finally(() => clearTimeout(timer));
  ended.catch(() => {}); // reported by whoever waits
  return {
    pid,
    ended,
    output: () => Buffer.concat(out).toString(),
    signal: (name) => send(pid, name),
    async firstLine() {
      for (;;) {
        const text = Buffer.concat(out).toString();
        if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
        const more = new Promise<boolean>((ok) => child.stdout?.once("data", () => ok(true)));
        if (await Promise.race([more, ended.then(() => false)])) continue;
        throw new Error(`no line: ${JSON.stringify(await ended)}`);
      }
    },
  };
}
