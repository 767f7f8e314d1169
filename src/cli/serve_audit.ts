/** The options of `serve` for the audit log. */
import { realpathSync } from "node:fs";
import { dirname, isAbsolute, relative, resolve } from "node:path";
import process from "node:process";
import { type Audit, NO_AUDIT, openAudit } from "../server/audit.ts";
import type { Log } from "../server/log.ts";
import { OWN_SECRETS } from "../process/own_secrets.ts";
import { VERSION } from "../version.ts";
import { UsageError } from "./exit.ts";
import { type Options, switchOption, textOption, wordOption } from "./options.ts";

/** What `--audit-log` and what belongs to it say. */
export interface AuditChoice {
  /** Warns when a sandbox may write where the log is: it could fill, replace or remove it. */
  warnOf(roots: readonly string[], log: Log): void;
  /**
   * Opens the log and writes its first line.
   * @param uid whom the server will run as
   * @throws when it cannot be written, unless `--audit-failure continue` is given
   */
  open(uid: number | null, log: Log): Promise<Audit>;
}

/** Reads the options. @param token that clients show: it is replaced in every line. @throws UsageError */
export function auditOptions(options: Options, token: string | undefined): AuditChoice {
  const given = textOption(options, "audit-log");
  const fullArgv = switchOption(options, "audit-argv");
  const onFailure = wordOption(options, "audit-failure", ["refuse", "continue"], "refuse");
  if (given === undefined) {
    if (fullArgv) throw new UsageError("--audit-argv needs --audit-log");
    if (onFailure !== "refuse") throw new UsageError("--audit-failure needs --audit-log");
    return { warnOf() {}, open: () => Promise.resolve(NO_AUDIT) };
  }
  if (given === "") throw new UsageError("--audit-log takes the path of a file");
  const path = isAbsolute(given) ? given : resolve(given); // it is opened again when it has been renamed
  const secrets = [
    ...OWN_SECRETS.flatMap((name) => process.env[name] ?? []),
    ...(token === undefined ? [] : [token]),
  ];
  return {
    warnOf(roots, log) {
      const root = roots.find((one) => isBelow(path, one));
      if (root === undefined) return;
      log(
        "warn",
        `--audit-log ${path} is in --sandbox-root ${root}, where sandboxes may write: keep it elsewhere`,
      );
    },
    open: (uid, log) =>
      openAudit({ path, fullArgv, onFailure, secrets, log }, {
        event: "server.started",
        version: VERSION,
        pid: process.pid,
        uid,
      }),
  };
}

/** @param folder canonical */
function isBelow(path: string, folder: string): boolean {
  try {
    const way = relative(folder, realpathSync(dirname(path)));
    return !/^\.\.(?:\/|$)/.test(way);
  } catch {
    return false; // opening it tells what is wrong
  }
}
