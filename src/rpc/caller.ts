import type * as v from "valibot";
import type { Method } from "../protocol/method.ts";
import type { Frame } from "./frame.ts";

/** Options of one request. */
export interface CallOptions {
  /** Gives up waiting for the answer. */
  readonly signal?: AbortSignal | undefined;
}

/** Params that can also travel as a binary message, where both sides speak those. */
export class Framed<Params> {
  /** The same as JSON. */
  readonly json: () => Params;
  /** The message, but for the request's id. */
  readonly frame: Omit<Frame, "id">;

  /** Says both forms. */
  constructor(frame: Omit<Frame, "id">, json: () => Params) {
    this.frame = frame;
    this.json = json;
  }
}

/** Params for who speaks no binary messages. */
export function jsonParams<Params>(params: Params | Framed<Params>): Params {
  return params instanceof Framed ? params.json() : params;
}

/** A result that can also travel as a binary message. `JSON.stringify` gives its other form. */
export abstract class BytesAnswer {
  /** The message, but for the request's id. */
  abstract frame(): Omit<Frame, "id">;
  abstract toJSON(): unknown;
}

/** Something that sends requests to a server: what the remote implementations are built on. */
export interface Caller {
  /**
   * Sends a request and resolves with its decoded result.
   * @throws ExecServerError the server's error, `DISCONNECTED`, or `PROTOCOL_VIOLATION` when the result does not parse
   */
  call<P extends v.GenericSchema, R extends v.GenericSchema>(
    method: Method<P, R>,
    params: v.InferInput<P> | Framed<v.InferInput<P>>,
    options?: CallOptions,
  ): Promise<v.InferOutput<R>>;
}
