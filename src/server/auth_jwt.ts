/** Signed tokens: JWT (RFC 7519) with HS256, as the reference takes them. */
import { compactVerify } from "jose";
import * as v from "valibot";
import { AUTH_REFUSALS, type TokenCheck } from "./auth.ts";

/** What a token must be. */
export interface JwtRules {
  /** At least 32 bytes. */
  readonly secret: Uint8Array;
  /** What `iss` must be; undefined: anything. */
  readonly issuer?: string | undefined;
  /** What `aud` must be or contain; undefined: anything. */
  readonly audience?: string | undefined;
  /** How far clocks may be apart, in seconds. */
  readonly maxClockSkewSeconds: number;
}

const Claims = v.object({
  exp: v.pipe(v.number(), v.safeInteger()),
  nbf: v.optional(v.pipe(v.number(), v.safeInteger())),
  iss: v.optional(v.unknown()),
  aud: v.optional(v.unknown()),
});

/** The check of signed tokens. @param now the time in ms since 1970; for tests */
export function jwtCheck(rules: JwtRules, now: () => number = Date.now): TokenCheck {
  return async (token) => {
    const claims = await claimsOf(token, rules.secret);
    if (!claims) return AUTH_REFUSALS.invalidJwt;
    const seconds = now() / 1000;
    if (claims.exp + rules.maxClockSkewSeconds < seconds) return AUTH_REFUSALS.expired;
    if (claims.nbf !== undefined && claims.nbf - rules.maxClockSkewSeconds > seconds) {
      return AUTH_REFUSALS.notYet;
    }
    if (rules.issuer !== undefined && claims.iss !== rules.issuer) return AUTH_REFUSALS.issuer;
    const audiences: unknown[] = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
    if (rules.audience !== undefined && !audiences.includes(rules.audience)) return AUTH_REFUSALS.audience;
    return undefined;
  };
}

async function claimsOf(token: string, secret: Uint8Array) {
  try {
    const { payload } = await compactVerify(token, secret, { algorithms: ["HS256"] });
    const claims: unknown = JSON.parse(new TextDecoder().decode(payload));
    return v.parse(Claims, claims);
  } catch {
    return undefined; // no JWT, a wrong signature, another algorithm, claims of wrong types
  }
}
