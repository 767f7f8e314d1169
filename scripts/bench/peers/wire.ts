/** A plain JSON client of the wire, for our server and the reference alike. */
import { Buffer } from "node:buffer";
import { openRawClient, type RawEvent } from "../../../tests/session/raw_client.ts";
import type { JsonObject } from "../../../tests/harness/wire_client.ts";

/** Bytes in one `process/write`. */
const WRITE_BYTES = 64 * 1024;
/** `process/write` requests without an answer. */
const MAX_WRITES = 16;

/** One connection. */
export interface Wire {
  /** Sends a request. @throws WireError */
  call(method: string, params?: JsonObject | null): Promise<JsonObject>;
  /** Starts a process; `onEvent` is told what happens to it. Returns its id. */
  start(argv: string[], more?: JsonObject, onEvent?: (event: RawEvent) => void): Promise<string>;
  /** Starts a process and waits until it has closed; returns the bytes it has printed. */
  run(argv: string[], more?: JsonObject): Promise<number>;
  /** Sends so many bytes to a process's standard input, several pieces in flight. */
  feed(processId: string, bytes: number): Promise<void>;
  /** The session, for a resume. */
  readonly sessionId: string;
  /** Drops the connection and waits for the end. */
  end(): Promise<void>;
}

let started = 0;

/**
 * Connects.
 * @param initialize added to the params of the handshake: what a client may ask of our server, such as
 * `acknowledgesOutput`. Nothing of it is known to the reference.
 */
export async function openWire(url: string, initialize: JsonObject = {}): Promise<Wire> {
  const watchers = new Map<string, (event: RawEvent) => void>();
  const client = await openRawClient(url, {
    initialize,
    onEvent(event, from) {
      if (initialize["acknowledgesOutput"] === true) from.acknowledge(event.processId, event.seq);
      watchers.get(event.processId)?.(event);
      if (event.type === "closed") watchers.delete(event.processId);
    },
  });
  const start = async (argv: string[], more: JsonObject = {}, onEvent = (_event: RawEvent) => {}) => {
    const id = `bench-${++started}`;
    watchers.set(id, onEvent);
    await client.start(id, argv, more);
    return id;
  };
  return {
    call: client.call,
    start,
    async run(argv, more) {
      let bytes = 0;
      await new Promise<void>((resolve, reject) => {
        client.closed.then(({ code, reason }) => reject(new Error(`connection closed: ${code} ${reason}`)));
        start(argv, more, (event) => {
          bytes += event.bytes.length;
          if (event.type === "closed") resolve();
        }).catch(reject);
      });
      return bytes;
    },
    async feed(processId, bytes) {
      const chunk = Buffer.alloc(WRITE_BYTES).toString("base64");
      let left = Math.ceil(bytes / WRITE_BYTES);
      const writer = async () => {
        while (left > 0) {
          await client.call("process/write", { processId, chunk, writeId: String(left--) });
        }
      };
      await Promise.all(Array.from({ length: MAX_WRITES }, writer));
    },
    get sessionId() {
      return client.sessionId;
    },
    end: client.terminate,
  };
}
