/** Non-blocking writes to a descriptor that the addon opened. Deno's `node:fs` refuses it, so there libc writes. */
import { writeSync } from "node:fs";
import process from "node:process";
import { runtime } from "./detect.ts";
import { codedError, errnoError, errorCode, unsupported } from "./coded_error.ts";

/** write(2): how many bytes were taken, 0 when there is no room. @throws when the descriptor cannot be written */
export type WriteNow = (fd: number, bytes: Uint8Array) => number;

let found: WriteNow | undefined;

/** How to write under this runtime. @throws an error with the code UNSUPPORTED where there is no way */
export function writeNow(): WriteNow {
  return found ??= runtime === "deno" ? denoWrite() : nodeWrite;
}

function nodeWrite(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    if (errorCode(error) === "EAGAIN") return 0;
    throw codedError("EPIPE", "the terminal is gone");
  }
}

interface DenoFfi {
  dlopen(library: string, symbols: Record<string, { parameters: string[]; result: string }>): {
    symbols: Record<string, (...args: unknown[]) => unknown>;
  };
  UnsafePointerView: new (pointer: unknown) => { getInt32(): number };
}

function isDenoFfi(value: unknown): value is DenoFfi {
  return typeof value === "object" && value !== null && "dlopen" in value && "UnsafePointerView" in value;
}

function denoWrite(): WriteNow {
  const deno: unknown = Reflect.get(globalThis, "Deno");
  const darwin = process.platform === "darwin";
  const place = darwin ? "__error" : "__errno_location";
  const again = darwin ? 35 : 11;
  if (!isDenoFfi(deno)) throw unsupported("Deno has no FFI");
  let symbols: Record<string, (...args: unknown[]) => unknown>;
  try {
    symbols = deno.dlopen(darwin ? "libSystem.B.dylib" : "libc.so.6", {
      write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
      [place]: { parameters: [], result: "pointer" },
    }).symbols;
  } catch (error) {
    throw unsupported(`libc did not load: ${error}`);
  }
  return (fd, bytes) => {
    const taken = Number(symbols["write"]?.(fd, bytes, BigInt(bytes.length)));
    if (taken >= 0) return taken;
    const errno = new deno.UnsafePointerView(symbols[place]?.()).getInt32();
    if (errno === again) return 0;
    throw errno === 5 || errno === 9
      ? codedError("EPIPE", "the terminal is gone")
      : errnoError(errno, "write");
  };
}
