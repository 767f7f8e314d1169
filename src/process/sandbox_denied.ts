/** A guess whether it was the sandbox that made a program fail. A hint for people and agents, nothing more. */
import { Buffer } from "node:buffer";
import type { ExitStatus } from "./trait.ts";

/** A complaint is among the last words. */
const LAST_BYTES = 4_096;
const COMPLAINT =
  /Read-only file system|Permission denied|Operation not permitted|\b(?:EROFS|EACCES|EPERM)\b/i;

/** The end of what was said so far. */
export function lastOf(before: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (bytes.length >= LAST_BYTES) return bytes.slice(-LAST_BYTES);
  return Buffer.concat([before.subarray(-(LAST_BYTES - bytes.length)), bytes]);
}

/** True when a program in a sandbox failed and complained about what a sandbox refuses. */
export function looksDenied({ exitCode }: ExitStatus, lastErrors: Uint8Array): boolean {
  return exitCode !== 0 && COMPLAINT.test(Buffer.from(lastErrors).toString("latin1"));
}
