/** Cuts a stream of bytes into lines. */
import { Buffer } from "node:buffer";

const NEWLINE = 10;

/** Collects lines. */
export interface Lines {
  /** Takes the next bytes. False when a line is longer than the bound: nothing can be made of the stream any more. */
  push(bytes: Uint8Array): boolean;
}

/**
 * Collects lines of UTF-8.
 * @param each gets every whole line, without its newline
 */
export function linesOf(maxBytes: number, each: (line: string) => void): Lines {
  let parts: Uint8Array[] = [];
  let length = 0;
  return {
    push(bytes) {
      let rest = bytes;
      for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
        if (length + end > maxBytes) return false;
        const last = rest.subarray(0, end);
        const line = text(parts.length === 0 ? last : Buffer.concat([...parts, last]));
        parts = [];
        length = 0;
        rest = rest.subarray(end + 1);
        each(line);
      }
      if (rest.length > 0) parts.push(rest);
      length += rest.length;
      return length <= maxBytes;
    },
  };
}

function text({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString();
}
