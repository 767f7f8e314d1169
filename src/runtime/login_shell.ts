/** The shell of the account this program runs as. */
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import process from "node:process";
import { runtime } from "./detect.ts";

const FALLBACK = "/bin/sh";
const PASSWD = "/etc/passwd";

/**
 * The path in the account's passwd entry, not the SHELL variable, which a parent may have changed. `/bin/sh` where
 * there is none: a user id without an entry, as containers have, or an entry without a shell (passwd(5)).
 */
export function loginShell(): string {
  try {
    // Bun 1.3 answers with the variable SHELL, and with the word `unknown` when that is not set.
    return (runtime === "bun" ? shellInPasswd() : userInfo().shell) || FALLBACK;
  } catch {
    return FALLBACK;
  }
}

/** Accounts that are not in the file (LDAP, systemd-homed) have logged in, and with that have a SHELL. */
function shellInPasswd(): string | undefined {
  const uid = String(process.getuid?.());
  const entry = readFileSync(PASSWD, "utf8").split("\n").map((line) => line.split(":")).find((fields) =>
    fields[2] === uid
  );
  return entry ? entry[6] : process.env["SHELL"];
}
