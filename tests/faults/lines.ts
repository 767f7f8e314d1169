/** Numbered lines: output whose every byte is known beforehand. */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import * as assert from "uvu/assert";
import type { Process } from "../../src/process/trait.ts";

/** Bytes of a megabyte as the issue counts them. */
export const MB = 1_000_000;

/** A length and a SHA-256. */
export interface Digest {
  readonly bytes: number;
  readonly sha256: string;
}

/** Something that bytes are added to. */
export interface Digester {
  add(bytes: Uint8Array): void;
  /** Length so far. */
  readonly bytes: number;
  result(): Digest;
}

/** An empty digest. */
export function createDigester(): Digester {
  const hash = createHash("sha256");
  let length = 0;
  return {
    add(bytes) {
      hash.update(bytes);
      length += bytes.length;
    },
    get bytes() {
      return length;
    },
    result: () => ({ bytes: length, sha256: hash.digest("hex") }),
  };
}

/** How many lines `seq 1 N` needs for about so many bytes. */
export function linesFor(bytes: number): number {
  let lines = 0, left = bytes;
  for (let digits = 1;; digits++) {
    const ofThese = 9 * 10 ** (digits - 1);
    if (ofThese * (digits + 1) >= left) return lines + Math.ceil(left / (digits + 1));
    lines += ofThese;
    left -= ofThese * (digits + 1);
  }
}

/** What `seq 1 N` prints, in pieces. */
export function* numberedLines(count: number): Generator<Buffer> {
  const step = 10_000;
  for (let from = 1; from <= count; from += step) {
    let text = "";
    for (let line = from; line < from + step && line <= count; line++) text += `${line}\n`;
    yield Buffer.from(text);
  }
}

/** The digest of what `seq 1 N` prints. */
export function digestOfLines(count: number): Digest {
  const digester = createDigester();
  for (const piece of numberedLines(count)) digester.add(piece);
  return digester.result();
}

/** The command that prints the lines as fast as it can. */
export function printLines(count: number): string[] {
  return ["seq", "1", String(count)];
}

/** A process that says nothing for so long stands still: nothing is to be awaited for ever. */
const SILENCE_MS = 30_000;

/** Reads a process to its end: its standard output's digest and its exit code. Every event is there once, in order. */
export async function digestOf(
  process: Process,
): Promise<Digest & { readonly exitCode: number | undefined }> {
  const digester = createDigester();
  let exitCode: number | undefined;
  let seq = 0;
  const events = process.events()[Symbol.asyncIterator]();
  for (;;) {
    const { value: event } = await inTime(events.next(), `nothing comes after event ${seq}`);
    if (!event) break;
    assert.is(event.seq, ++seq, "the number of an event");
    if (event.type === "output") digester.add(event.bytes);
    if (event.type === "exited") exitCode = event.exitCode;
  }
  return { ...digester.result(), exitCode };
}

async function inTime<T>(promise: Promise<T>, otherwise: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(otherwise)), SILENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
