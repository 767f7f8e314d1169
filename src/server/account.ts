/** The account that a server is to run as. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** An account, as passwd(5) has it. */
export interface Account {
  /** Undefined for a number without an entry. */
  readonly name: string | undefined;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

const PASSWD = "/etc/passwd";
const SHELL = "/bin/sh";
/** A directory service that does not answer must not hang the start for ever, in ms. */
const LOOK_UP_LIMIT_MS = 10_000;
/** (uid_t) -1 means "unchanged" (setresuid(2)). */
const MAX_ID = 2 ** 32 - 2;

/**
 * The account that `NAME`, `UID`, `NAME:GID` or `UID:GID` names.
 * @throws Error that says what is wrong with it
 */
export function findAccount(text: string): Account {
  const match = /^([^:]+)(?::(\d{1,10}))?$/.exec(text);
  if (!match) throw new Error(`--user takes NAME, UID, NAME:GID or UID:GID, not '${text}'`);
  const [, who = "", group] = match;
  const uid = /^\d{1,10}$/.test(who) ? Number(who) : undefined;
  const [name, , entryUid, entryGid, , home, shell] = entryOf(who, uid) ?? [];
  const account = {
    name,
    uid: uid ?? Number(entryUid ?? NaN),
    gid: Number(group ?? entryGid ?? NaN),
    home: home || "/",
    shell: shell || SHELL,
  };
  if (Number.isNaN(account.uid)) throw new Error(`--user ${text}: there is no such user`);
  if (Number.isNaN(account.gid)) {
    throw new Error(`--user ${text}: this user has no entry in passwd: name its group too, as UID:GID`);
  }
  if (account.uid > MAX_ID || account.gid > MAX_ID) {
    throw new Error(`--user ${text}: the number is too large`);
  }
  if (account.uid === 0) throw new Error(`--user ${text}: that is root; name another user`);
  return account;
}

function entryOf(who: string, uid: number | undefined): string[] | undefined {
  const fits = (fields: string[]) => uid === undefined ? fields[0] === who : Number(fields[2]) === uid;
  const find = (read: () => string) => {
    try {
      const entries = read().split("\n").map((line) => line.split(":"));
      return entries.find((fields) => fields.length >= 7 && fits(fields));
    } catch {
      return undefined; // not there, or no such user
    }
  };
  return find(() => readFileSync(PASSWD, "utf8")) ?? find(() => fromDirectory(who));
}

/** Accounts that are not in the file (LDAP, systemd-homed). */
function fromDirectory(who: string): string {
  return execFileSync("getent", ["passwd", "--", who], {
    encoding: "utf8",
    timeout: LOOK_UP_LIMIT_MS,
    stdio: ["ignore", "pipe", "ignore"],
  });
}
