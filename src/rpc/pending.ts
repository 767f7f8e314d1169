/** Requests that wait for their answers. */
import * as v from "valibot";
import { ExecServerError, fromWire } from "../protocol/error.ts";
import type { Method } from "../protocol/method.ts";
import { deferred } from "../runtime/deferred.ts";
import { type CallOptions, Framed, jsonParams } from "./caller.ts";
import { type Message, requestText } from "./envelope.ts";
import { fitsInFrame, type Frame } from "./frame.ts";

/** The open requests of one connection; ids are integers from 1. */
export interface Pending {
  /** Sends a request with `via` and waits for its answer. */
  call<P extends v.GenericSchema, R extends v.GenericSchema>(
    via: Sender,
    method: Method<P, R>,
    params: v.InferInput<P> | Framed<v.InferInput<P>>,
    options?: CallOptions,
  ): Promise<v.InferOutput<R>>;
  /** Takes an answer; false when nobody waits for it. */
  settle(answer: Extract<Message, { kind: "result" | "error" }>): boolean;
  /** Fails everything that is open. */
  fail(reason: ExecServerError): void;
}

/** How requests leave. */
export interface Sender {
  send(text: string): void;
  /** Undefined where the other side speaks no binary messages. */
  readonly sendFrame: ((frame: Frame) => void) | undefined;
}

/** No open requests yet. */
export function createPending(): Pending {
  const open = new Map<number, { resolve: (result: unknown) => void; reject: (reason: unknown) => void }>();
  let lastId = 0;
  return {
    async call(via, method, params, options = {}) {
      options.signal?.throwIfAborted();
      const id = ++lastId;
      const { promise, resolve, reject } = deferred<unknown>();
      open.set(id, { resolve, reject });
      const abort = () => reject(options.signal?.reason);
      options.signal?.addEventListener("abort", abort);
      try {
        if (params instanceof Framed && via.sendFrame && fitsInFrame(params.frame.name)) {
          via.sendFrame({ ...params.frame, id });
        } else via.send(requestText(id, method.name, jsonParams(params)));
        const parsed = v.safeParse(method.result, await promise);
        if (parsed.success) return parsed.output;
        throw new ExecServerError(
          "PROTOCOL_VIOLATION",
          `${method.name}: unusable result: ${parsed.issues[0].message}`,
        );
      } finally {
        options.signal?.removeEventListener("abort", abort);
        // A request that was given up keeps its id: its late answer must still find something.
        if (options.signal?.aborted) open.set(id, { resolve: () => {}, reject: () => {} });
        else open.delete(id);
      }
    },
    settle(answer) {
      const waiting = typeof answer.id === "number" ? open.get(answer.id) : undefined;
      if (!waiting || typeof answer.id !== "number") return false;
      open.delete(answer.id);
      if (answer.kind === "result") waiting.resolve(answer.result);
      else waiting.reject(fromWire(answer.code, answer.message));
      return true;
    },
    fail(reason) {
      for (const waiting of open.values()) waiting.reject(reason);
      open.clear();
    },
  };
}
