/** A terminal with a person at it: our own library gives it, the program under test runs in it. */
import { Environment } from "../../src/environment.ts";
import type { TerminalSize } from "../../src/process/trait.ts";
import { childrenOf, isRunning, until } from "./proc.ts";
import { programUnderTest, send } from "./program.ts";

const LIMIT_MS = 30_000;
const encoder = new TextEncoder();

/** How the program ended, and what it left of the terminal. */
export interface TerminalEnd {
  readonly code: number;
  /** `stty -g` before it and after. */
  readonly modes: readonly [before: string, after: string];
  /** What was on the screen since the last {@link OwnTerminal.shows}, one character for each byte. */
  readonly rest: string;
}

/** A terminal in which the program under test runs. */
export interface OwnTerminal {
  type(keys: string | Uint8Array): Promise<void>;
  /** Resolves when the screen shows it, with everything up to there (one character for each byte), and forgets that. */
  shows(pattern: RegExp | string): Promise<string>;
  resize(size: TerminalSize): Promise<void>;
  /** Process id of the program itself. */
  pid(): Promise<number>;
  signal(name: NodeJS.Signals): Promise<void>;
  readonly ended: Promise<TerminalEnd>;
  close(): Promise<void>;
}

/** How to open it. */
export interface TerminalSetup {
  readonly size?: TerminalSize;
  readonly env?: Readonly<Record<string, string>>;
  /** A line of shell around `"$@"`, the program. */
  readonly script?: string;
}

const WRAPPER = 'echo "[before $(stty -g)]"; SCRIPT; code=$?; echo "[after $(stty -g)]"; echo "[exit $code]"';

/** Runs the program with these arguments in a terminal of 24 rows and 80 columns. */
export async function openTerminal(args: readonly string[], setup: TerminalSetup = {}): Promise<OwnTerminal> {
  const [program, before] = programUnderTest();
  const here = Environment.local();
  const started = await here.processes.start({
    argv: [
      "/bin/bash",
      "--norc",
      "-c",
      WRAPPER.replace("SCRIPT", setup.script ?? '"$@"'),
      "bash",
      program,
      ...before,
      ...args,
    ],
    tty: true,
    size: setup.size ?? { rows: 24, cols: 80 },
    env: { TERM: "xterm-256color", EXEC_SERVER_URL: "local", ...setup.env },
  });
  const shellPid = async () => (await here.processes.list()).find(({ id }) => id === started.id)?.pid ?? 0;
  const keys = started.stdin.getWriter();
  let screen = "";
  let closed = false;
  const looking = new Set<() => void>();
  const show = async () => {
    const decoder = new TextDecoder("latin1");
    for await (const bytes of started.stdout) {
      screen += decoder.decode(bytes);
      for (const look of [...looking]) look();
    }
  };
  const shown = show().finally(() => {
    closed = true;
    for (const look of [...looking]) look();
  });
  shown.catch(() => {}); // `ended` tells

  const shows = (pattern: RegExp | string) =>
    new Promise<string>((ok, fail) => {
      const timer = setTimeout(() => give(new Error("not in time")), LIMIT_MS);
      const give = (error?: Error) => {
        clearTimeout(timer);
        looking.delete(look);
        if (error) {
          fail(new Error(`${error.message}: ${pattern} is not on the screen: ${JSON.stringify(screen)}`));
        }
      };
      const look = () => {
        const found = typeof pattern === "string"
          ? { index: screen.indexOf(pattern), length: pattern.length }
          : { index: pattern.exec(screen)?.index ?? -1, length: pattern.exec(screen)?.[0].length ?? 0 };
        if (found.index < 0) return closed ? give(new Error("the terminal closed")) : undefined;
        const end = found.index + found.length;
        const text = screen.slice(0, end);
        screen = screen.slice(end);
        give();
        ok(text);
      };
      looking.add(look);
      look();
    });

  const start = /\[before (\S+)\]\r\n/.exec(await shows(/\[before \S+\]\r\n/))?.[1] ?? "";
  const pid = async () => {
    const shell = await shellPid();
    let found: number | undefined;
    await until("the program runs", () => (found = childrenOf(shell).find(isRunning)) !== undefined);
    return found ?? 0;
  };
  const ended = (async (): Promise<TerminalEnd> => {
    const timer = setTimeout(() => void started.terminate(), 2 * LIMIT_MS);
    await shown.finally(() => clearTimeout(timer));
    const [, rest = "", after = "", code] = /^([^]*)\[after (\S+)\]\r*\n\[exit (\d+)\]\r*\n$/.exec(screen) ??
      [];
    if (code === undefined) throw new Error(`the terminal closed early: ${JSON.stringify(screen)}`);
    return { code: Number(code), modes: [start, after], rest };
  })();
  ended.catch(() => {}); // reported by whoever waits
  return {
    type: (text) => keys.write(typeof text === "string" ? encoder.encode(text) : text),
    shows,
    resize: (size) => started.resize(size),
    pid,
    signal: async (name) => send(await pid(), name),
    ended,
    async close() {
      await started.terminate();
      await here.close();
    },
  };
}
