/**
 * The `sandbox` member of requests (protocol reference, section 13). This build cannot enforce a sandbox yet, so the
 * only value that is accepted is one that asks for none; everything else is refused, never ignored.
 */
import * as v from "valibot";
import { invalidRequest } from "./error.ts";
import { maybe } from "./schema.ts";

/** Any object, null or nothing: its meaning is checked by {@link requireNoSandbox}. */
export const sandbox = () =>
  maybe(v.looseObject({}, "invalid type: expected struct WireFileSystemSandboxContext"));

/**
 * Passes when the request asks for no restriction.
 * @throws ExecServerError `INVALID_REQUEST` (-32600) when a sandbox is asked for: it would not hold
 */
export function requireNoSandbox(asked: Record<string, unknown> | null | undefined): void {
  if (asked === null || asked === undefined) return;
  const permissions = asked["permissions"];
  const disabled = typeof permissions === "object" && permissions !== null && "type" in permissions &&
    permissions.type === "disabled";
  if (!disabled) {
    throw invalidRequest("this server cannot enforce a sandbox: send `sandbox: null` to run without one");
  }
}
