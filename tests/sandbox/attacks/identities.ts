// Who the attacks are run as: as root both, else only ourselves.
import process from "node:process";
import type { Identity } from "./attack.ts";

/** An account that nobody has: no entry, no processes, no files. Nothing has to be made or removed for it. */
const ORDINARY_UID = 64_117;

/** The identities that this test can take. */
export const IDENTITIES: readonly { readonly identity: Identity; readonly uid: number }[] =
  process.getuid?.() === 0
    ? [{ identity: "root", uid: 0 }, { identity: "user", uid: ORDINARY_UID }]
    : [{ identity: "user", uid: process.getuid?.() ?? 0 }];
