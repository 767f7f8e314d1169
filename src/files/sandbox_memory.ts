/**
 * Remembers the sandboxes of the last requests as they were decoded: an agent sends the same one with each request,
 * and decoding it takes longer than reading a small file.
 */
import type * as v from "valibot";
import { decodeParams, type Method } from "../protocol/method.ts";
import type { SandboxContext } from "../protocol/sandbox.ts";

/** What every request of `fs/*` may carry. */
export interface Sandboxable {
  readonly sandbox?: SandboxContext | null | undefined;
}

/** A request's params, and its sandbox apart from them. */
export interface DecodedParams<P> {
  /** What is said of the sandbox in them does not count. */
  readonly params: P;
  /** The same object for the same text, while it is remembered. */
  readonly sandbox: SandboxContext | null | undefined;
}

/** Decodes the params of requests. */
export interface SandboxMemory {
  /** @throws ExecServerError `INVALID_PARAMS` as `decodeParams` does */
  decode<P extends v.GenericSchema<unknown, Sandboxable>>(
    method: Method<P>,
    rawParams: unknown,
  ): DecodedParams<v.InferOutput<P>>;
}

/** Sandboxes that are remembered, the latest ones. */
const MAX_REMEMBERED = 32;
/** Characters of one that is remembered; a policy that names a hundred paths has ten thousand. */
const MAX_REMEMBERED_CHARACTERS = 32 * 1024;

/** A memory without anything in it. */
export function createSandboxMemory(): SandboxMemory {
  const known = new Map<string, SandboxContext>();
  const remember = (text: string, sandbox: SandboxContext) => {
    if (text.length > MAX_REMEMBERED_CHARACTERS) return;
    const [oldest] = known.keys();
    if (known.size >= MAX_REMEMBERED && oldest !== undefined) known.delete(oldest);
    known.set(text, sandbox);
  };
  return {
    decode(method, rawParams) {
      const isNamed = typeof rawParams === "object" && rawParams !== null && "sandbox" in rawParams;
      if (!isNamed || rawParams.sandbox === null) return whole(decodeParams(method, rawParams));
      const text = JSON.stringify(rawParams.sandbox);
      const sandbox = known.get(text);
      if (sandbox) return { params: decodeParams(method, { ...rawParams, sandbox: null }), sandbox };
      const decoded = whole(decodeParams(method, rawParams));
      if (decoded.sandbox) remember(text, decoded.sandbox);
      return decoded;
    },
  };
}

function whole<P extends Sandboxable>(params: P): DecodedParams<P> {
  return { params, sandbox: params.sandbox };
}
