/**
 * Standard input and output of the file helper. While nothing is being done it waits in read(2) itself: a request then
 * costs one wake-up, where a turn of the event loop and a stream would make it several.
 */
import { Buffer } from "node:buffer";
import { read, readSync, writeSync } from "node:fs";

/** Where requests come from and answers go. */
export interface HelperStreams {
  /** The next bytes; none at the end. Nothing else happens in this process meanwhile. */
  wait(): Uint8Array;
  /** As {@link wait}, while work goes on. */
  read(): Promise<Uint8Array>;
  /** Returns when the other end has taken the text. @throws an error of `node:fs` */
  write(text: string): void;
}

const INPUT = 0;
const OUTPUT = 1;
/** What a pipe of Linux holds. */
const BUFFER_BYTES = 64 * 1024;

/** The streams of this process. */
export function standardStreams(): HelperStreams {
  const buffer = new Uint8Array(BUFFER_BYTES);
  return {
    wait: () => buffer.slice(0, readSync(INPUT, buffer)),
    read: () =>
      new Promise((resolve, reject) => {
        read(INPUT, buffer, 0, buffer.length, null, (error, length) => {
          if (error) reject(error);
          else resolve(buffer.slice(0, length));
        });
      }),
    write(text) {
      const bytes = Buffer.from(text);
      for (let done = 0; done < bytes.length;) done += writeSync(OUTPUT, bytes, done);
    },
  };
}
