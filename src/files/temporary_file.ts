/** The temporary files of `replaceFile`: what they are called, and who is told of them. */
import { randomUUID } from "node:crypto";

/**
 * Is told before a temporary file is made, with its path, and calls what it returned when it is gone again or has taken
 * its name.
 */
export type WatchTemporary = (path: string | Uint8Array) => () => void;

const NAME = /^\.exec-server-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** A name that no other file has. */
export function temporaryName(): string {
  return `.exec-server-${randomUUID()}.tmp`;
}

/** Whether a name is one that {@link temporaryName} gives. */
export function isTemporaryName(name: string): boolean {
  return NAME.test(name);
}
