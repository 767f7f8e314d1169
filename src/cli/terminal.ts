/** The terminal that we run in: raw mode, and the way back on every way out. */
import { execFileSync } from "node:child_process";
import { writeSync } from "node:fs";
import process from "node:process";
import { isatty } from "node:tty";
import { MAX_TERMINAL_SIDE } from "../protocol/limits.ts";
import type { TerminalSize } from "../process/trait.ts";
import { complain, ExitCode } from "./exit.ts";

/** A terminal in raw mode. */
export interface RawTerminal {
  /** Back to how it was. */
  restore(): void;
  /** As it was, for the time that we are stopped. */
  pause(): void;
  /** Raw again. */
  resume(): void;
}

/** True when a person types our input. */
export function atTerminal(): boolean {
  return isatty(0);
}

/** The size of our terminal; undefined when there is none, or it does not tell. */
export function terminalSize(): TerminalSize | undefined {
  const [rows = 0, cols = 0] = sizeOf(process.stdout) ?? sizeOf(process.stderr) ?? sizeOfInput() ?? [];
  const fits = (side: number) => side >= 1 && side <= MAX_TERMINAL_SIDE;
  return fits(rows) && fits(cols) ? { rows, cols } : undefined;
}

/** Calls back when the size has changed. @returns stops it */
export function onResize(changed: () => void): () => void {
  const stream = [process.stdout, process.stderr].find((each) => each.isTTY);
  if (stream) {
    stream.on("resize", changed); // it knows the new size by then
    return () => void stream.off("resize", changed);
  }
  process.on("SIGWINCH", changed);
  return () => void process.off("SIGWINCH", changed);
}

/**
 * Makes our terminal raw: each byte goes through as it is, in both directions. It is restored when the program ends,
 * however that happens, SIGKILL excepted.
 * @param undo what to write to the screen when the program ends without {@link RawTerminal.restore}
 */
export function rawTerminal(undo: () => string): RawTerminal {
  // Not `setRawMode`: that leaves OPOST on, and the terminal would turn each line feed into two characters.
  const before = stty("-g");
  const raw = () => {
    if (before === undefined || stty("raw", "-echo") === undefined) setRawMode(true);
  };
  const cooked = () => {
    if (before === undefined || stty(before) === undefined) setRawMode(false);
  };
  let over = false;
  const restore = () => {
    if (over) return;
    over = true;
    process.off("exit", abandon);
    process.off("uncaughtException", crash);
    process.off("unhandledRejection", crash);
    cooked();
  };
  const abandon = () => {
    try {
      writeSync(1, undo()); // nothing asynchronous runs any more
    } catch {
      // the screen is gone
    }
    restore();
  };
  const crash = (error: unknown) => {
    abandon();
    complain(error instanceof Error ? error.stack ?? error.message : String(error));
    process.exit(ExitCode.runFailed);
  };
  process.on("exit", abandon);
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  raw();
  return {
    restore,
    pause: () => over || cooked(),
    resume: () => over || raw(),
  };
}

/**
 * Runs stty(1) on our input; undefined when that fails, for example because the terminal is gone. Without a time limit:
 * with one Deno starts it in a process group of its own, in the background, where it may not change the terminal.
 */
function stty(...args: string[]): string | undefined {
  try {
    return execFileSync("stty", args, {
      stdio: ["inherit", "pipe", "ignore"],
      encoding: "utf8",
    }).trim();
  } catch {
    return undefined;
  }
}

/** Where there is no stty. */
function setRawMode(raw: boolean): void {
  try {
    process.stdin.setRawMode(raw);
  } catch {
    // the terminal is gone
  }
}

function sizeOf(stream: NodeJS.WriteStream): [rows: number, cols: number] | undefined {
  return stream.isTTY ? [stream.rows, stream.columns] : undefined;
}

function sizeOfInput(): number[] | undefined {
  return atTerminal() ? stty("size")?.split(" ").map(Number) : undefined;
}
