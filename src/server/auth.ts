/** Who may connect (protocol reference, section 2). The last check of an upgrade. */
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { type Attempts, createAttempts } from "./auth_attempts.ts";
import type { Refusal } from "./refusal.ts";

/** The subprotocol that a browser offers besides the one with its token; the only one that is ever chosen. */
export const SUBPROTOCOL = "exec-server.v1";
/** Before the token, base64url without padding, in the name of a subprotocol: a browser can set no header. */
export const TOKEN_SUBPROTOCOL = "exec-server.token.";

/** From this length on, in characters, nobody guesses a token: 128 bits in hex have as many. */
export const LONG_TOKEN_CHARS = 32;

/** The texts of refusals with status 401, as the reference has them. */
export const AUTH_REFUSALS = {
  missing: "missing websocket bearer token",
  malformed: "invalid authorization header",
  wrongToken: "invalid websocket bearer token",
  invalidJwt: "invalid websocket jwt",
  expired: "expired websocket jwt",
  notYet: "websocket jwt is not valid yet",
  issuer: "websocket jwt issuer mismatch",
  audience: "websocket jwt audience mismatch",
} as const;

/** Why a token is refused. */
export type TokenProblem = typeof AUTH_REFUSALS[keyof typeof AUTH_REFUSALS];

/** How clients prove that they may connect. */
export type AuthMode =
  | { readonly kind: "none" }
  /** Our own random token, in whatever way a client can send it. */
  | { readonly kind: "token"; readonly token: string }
  /** The operator's token, of which the SHA-256 is enough. */
  | { readonly kind: "capability-token"; readonly sha256: Uint8Array }
  | { readonly kind: "signed-bearer-token"; readonly verify: TokenCheck };

/** Looks at a token: undefined when it is good. */
export type TokenCheck = (token: string) => Promise<TokenProblem | undefined>;

/** Decides on requests for an upgrade. */
export interface Auth {
  /** Why a request may not connect, as an answer; undefined when it may. */
  check(request: IncomingMessage): Promise<Refusal | undefined>;
}

/** Makes the check. @param attempts counts what failed; for tests */
export function createAuth(mode: AuthMode, attempts: Attempts = createAttempts()): Auth {
  const problemOf = tokenCheckOf(mode);
  if (!problemOf) return { check: () => Promise.resolve(undefined) };
  // A token that a person chose can be guessed; 256 random bits and a signature cannot. Only a short one is refused
  // after many wrong ones, be it right or not: everyone on this machine, or behind a proxy, has the same address.
  const isGuessable = (token: string) => mode.kind === "capability-token" && token.length < LONG_TOKEN_CHARS;
  return {
    async check(request) {
      const presented = tokenOf(request, mode.kind === "token");
      // Who shows no token has not guessed. Counted, it would lock out the others of that address.
      if ("problem" in presented) return unauthorized(presented.problem);
      const from = request.socket.remoteAddress ?? "";
      const waitMs = attempts.waitMs(from);
      if (waitMs > 0 && isGuessable(presented.token)) return tooMany(waitMs);
      const problem = await problemOf(presented.token);
      if (problem === undefined) return undefined;
      attempts.failed(from);
      return waitMs > 0 ? tooMany(waitMs) : unauthorized(problem);
    },
  };
}

function tokenCheckOf(mode: AuthMode): TokenCheck | undefined {
  switch (mode.kind) {
    case "none":
      return undefined;
    case "token":
      return equals(sha256(mode.token));
    case "capability-token":
      return equals(mode.sha256);
    case "signed-bearer-token":
      return mode.verify;
  }
}

/** Digests have one length and tell nothing of where texts differ. */
function equals(expected: Uint8Array): TokenCheck {
  return (token) =>
    Promise.resolve(timingSafeEqual(sha256(token), expected) ? undefined : AUTH_REFUSALS.wrongToken);
}

/** SHA-256 of a token's UTF-8 bytes: 32 bytes. */
export function sha256(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

function unauthorized(problem: TokenProblem): Refusal {
  return { status: 401, reason: "Unauthorized", body: problem };
}

function tooMany(waitMs: number): Refusal {
  const seconds = Math.ceil(waitMs / 1000);
  return {
    status: 429,
    reason: "Too Many Requests",
    headers: { "retry-after": String(seconds) },
    body: `too many failed attempts to authenticate; try again in ${seconds} s`,
  };
}

type Presented = { readonly token: string } | { readonly problem: TokenProblem };

/** The header counts first, then a subprotocol, then (for our own token, as in the reference) the query. */
function tokenOf(request: IncomingMessage, inQuery: boolean): Presented {
  const { authorization } = request.headers;
  if (authorization !== undefined) {
    const token = /^bearer\s+(\S.*?)\s*$/i.exec(authorization)?.[1];
    return token === undefined ? { problem: AUTH_REFUSALS.malformed } : { token };
  }
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  const named = offered.find((name) => name.startsWith(TOKEN_SUBPROTOCOL));
  if (named !== undefined) {
    return { token: Buffer.from(named.slice(TOKEN_SUBPROTOCOL.length), "base64url").toString() };
  }
  const url = request.url ?? "";
  const query = new URLSearchParams(url.includes("?") ? url.slice(url.indexOf("?")) : "");
  const token = inQuery ? query.get("token") : null;
  return token === null ? { problem: AUTH_REFUSALS.missing } : { token };
}
