/** What the addon reports only as text on the terminal and exit code 1 is found before the start. */
import { accessSync, closeSync, constants, openSync, readFileSync, readSync, statSync } from "node:fs";
import { Buffer } from "node:buffer";
import process from "node:process";
import type { TerminalOptions } from "./terminal.ts";
import { codedError } from "./coded_error.ts";

const HEAD_BYTES = 256; // as much as the kernel looks at
const MAX_STRING_BYTES = 128 * 1024; // MAX_ARG_STRLEN (execve(2)); also what is always granted in total
const MAX_TOTAL_BYTES = 6 * 1024 * 1024; // three quarters of the default stack
const POINTER_BYTES = 8;

/** @throws an error with the POSIX code that the start would fail with */
export function checkStart(options: TerminalOptions): void {
  const { file, argv, cwd, env } = options;
  if ([file, cwd, ...argv, ...Object.entries(env).flat()].some((text) => text.includes("\0"))) {
    throw codedError("EINVAL", "a NUL in an argument");
  }
  if (!statSync(cwd).isDirectory()) throw codedError("ENOTDIR", cwd);
  accessSync(cwd, constants.X_OK);
  checkProgram(file);
  checkSize([...argv, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]);
}

function checkProgram(file: string): void {
  if (!statSync(file).isFile()) throw codedError("EACCES", `${file} is not a file`);
  accessSync(file, constants.X_OK);
  if (process.platform !== "linux") return;
  let head: string;
  try {
    head = readHead(file);
  } catch {
    return; // executable but not readable
  }
  if (head.startsWith("\x7fELF")) return;
  const interpreter = /^#![ \t]*([^ \t\n\0]+)/.exec(head)?.[1];
  // Without this the addon would run the file with /bin/sh, as execvp(3) does. What binfmt_misc adds is not asked for.
  if (interpreter === undefined) throw codedError("ENOEXEC", file);
  accessSync(interpreter, constants.X_OK);
}

function readHead(file: string): string {
  const fd = openSync(file, "r");
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    return head.toString("latin1", 0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(fd);
  }
}

function checkSize(texts: string[]): void {
  const sizes = texts.map((text) => Buffer.byteLength(text) + 1);
  const total = sizes.reduce((sum, size) => sum + size + POINTER_BYTES, 0);
  if (total <= MAX_STRING_BYTES) return;
  if (Math.max(...sizes) > MAX_STRING_BYTES || total > totalLimit()) {
    throw codedError("E2BIG", "arguments and environment are too long");
  }
}

/** A quarter of the stack (execve(2)). */
function totalLimit(): number {
  if (process.platform !== "linux") return MAX_TOTAL_BYTES;
  const stack = /^Max stack size\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
  const quarter = stack === undefined ? Infinity : Number(stack) / 4;
  return Math.max(MAX_STRING_BYTES, Math.min(quarter, MAX_TOTAL_BYTES));
}
