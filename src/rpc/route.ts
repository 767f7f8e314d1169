/** How a server answers a method: the declaration, the function, and which queue its requests wait in. */
import type * as v from "valibot";
import { decodeParams, type Method } from "../protocol/method.ts";
import type { Frame } from "./frame.ts";

/** What a handler may know and do besides its params. */
export interface Call {
  /** Aborted when the connection that asked is gone, or no longer owns the session. */
  readonly signal: AbortSignal;
  /** Runs right after the answer has been handed to the socket, before any later message; not if it was refused. */
  afterAnswer(action: () => void): void;
  /** As {@link afterAnswer}, but also when the answer was not wanted any more: the work is done all the same. */
  afterwards(action: () => void): void;
}

/**
 * `ordinary` requests share `--concurrent-requests` places; `control` requests never wait for one; `waiting` requests
 * mostly wait for events and take none, so that a long poll delays nobody.
 */
export type Lane = "ordinary" | "control" | "waiting";

/** A method that a server answers. */
export interface Route {
  readonly method: Method;
  readonly lane: Lane;
  /** Decodes the params; throws `INVALID_PARAMS` before anything has happened. */
  prepare(rawParams: unknown): (call: Call) => unknown;
  /** The same of a binary message; undefined where there is no such form. */
  readonly prepareFrame?: ((frame: Frame) => (call: Call) => unknown) | undefined;
}

/**
 * Binds a method to the function that answers it; both are typed by the declaration.
 * @param ofFrame the params of a binary message, whose bytes are valid as long as the message is
 */
export function route<P extends v.GenericSchema, R extends v.GenericSchema>(
  method: Method<P, R>,
  handle: (params: v.InferOutput<P>, call: Call) => v.InferInput<R> | Promise<v.InferInput<R>>,
  lane: Lane = "ordinary",
  ofFrame?: (frame: Frame) => v.InferOutput<P>,
): Route {
  return {
    method,
    lane,
    prepare(rawParams) {
      const params = decodeParams(method, rawParams);
      return (call) => handle(params, call);
    },
    prepareFrame: ofFrame && ((frame) => {
      const params = ofFrame(frame);
      return (call) => handle(params, call);
    }),
  };
}
