/**
 * Bun's own API, as far as this project uses it, checked once at run time instead of trusted.
 * Types come from here and not from a package, so that the same source type-checks under Deno and Node.
 */
import process from "node:process";

/** `Bun.spawn`'s process. */
export interface BunProcess {
  readonly pid: number;
  readonly exited: Promise<number>;
  readonly exitCode: number | null;
  /** A real-time signal has no name, only a number. */
  readonly signalCode: string | number | null;
}

/** `Bun.file(fd).writer()`. */
export interface BunFileSink {
  write(bytes: Uint8Array): number | Promise<number>;
  flush(): number | Promise<number>;
  end(): unknown;
}

/** The members of the global `Bun` that are used. */
export interface BunApi {
  spawn(options: {
    cmd: string[];
    cwd: string;
    env: Record<string, string>;
    argv0: string;
    detached: boolean;
    stdio: [number | "ignore", number, number, ...number[]];
  }): BunProcess;
  file(fd: number): { stream(): ReadableStream<Uint8Array>; writer(): BunFileSink };
}

/** The calls into libc that Bun has no API for. All are plain, non-variadic or Linux-safe (pipe2(2), poll(2), fcntl(2)). */
export interface Libc {
  pipe2(fds: unknown, flags: number): number;
  poll(fds: unknown, count: number, timeoutMs: number): number;
  fcntl(fd: number, command: number, argument: number): number;
}

interface Ffi {
  dlopen<Name extends string>(library: string, symbols: Signatures<Name>): {
    symbols: Record<Name, (...args: unknown[]) => number>;
  };
  ptr(view: ArrayBufferView): unknown;
}

type Signatures<Name extends string> = Record<Name, { args: string[]; returns: string }>;

function isBun(value: unknown): value is BunApi {
  return typeof value === "object" && value !== null && "spawn" in value && "file" in value;
}

function isFfi(value: unknown): value is Ffi {
  return typeof value === "object" && value !== null && "dlopen" in value && "ptr" in value;
}

const found: unknown = Reflect.get(globalThis, "Bun");
if (!isBun(found)) throw new Error("this module runs under Bun only");
/** The global `Bun`. */
export const bun: BunApi = found;

// The name is not a literal so that Deno's and TypeScript's checkers do not look for the module.
const name = "bun:ffi";
const loaded: unknown = await import(name);
if (!isFfi(loaded)) throw new Error("bun:ffi is missing");
const ffi = loaded;

if (process.platform !== "linux") throw new Error("the compiled executable runs on Linux only, for now");
/** Functions of libc. @throws when it lacks one of them */
export function libcSymbols<Name extends string>(
  symbols: Signatures<Name>,
): Record<Name, (...args: unknown[]) => number> {
  return ffi.dlopen("libc.so.6", symbols).symbols;
}

/** libc. */
export const libc: Libc = libcSymbols({
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
});
/** The address of a view, for {@link libc}. Valid for one call. */
export const ptr = (view: ArrayBufferView): unknown => ffi.ptr(view);
