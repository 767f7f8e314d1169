/** The audit log of a server: who did what on this machine. docs/audit.md is made from it. */
import { createHash, randomUUID } from "node:crypto";
import { AUDIT_FAILED_TEXT, ExecServerError, messageOf, RpcCode } from "../protocol/error.ts";
import type { AuditEvent } from "./audit_events.ts";
import { type AuditFile, openAuditFile } from "./audit_file.ts";
import { REDACTED, type ShownArgv, shownArgv } from "./audit_redact.ts";
import type { Log } from "./log.ts";

/** Where a server records what is done with it. Nothing here waits for the disk, and only what says so throws. */
export interface Audit {
  /** False: nothing is recorded, and nobody needs to find out what would be. */
  readonly enabled: boolean;
  /** Records something. */
  record(event: AuditEvent): void;
  /** Records a refusal; of a flood only the first {@link MAX_REFUSALS_PER_SECOND} of a second. */
  refused(event: Extract<AuditEvent, { event: `${string}.refused` }>): void;
  /** @throws ExecServerError `AUDIT_FAILED` when what is done could not be recorded, and may not be done without */
  requireWritable(): void;
  /** Program and arguments, as the operator wants them. */
  argv(argv: readonly string[]): ShownArgv;
  /** The number of the next connection. */
  nextConnection(): number;
  /** Writes what is left. */
  close(): Promise<void>;
}

/** Without `--audit-log`. */
export const NO_AUDIT: Audit = {
  enabled: false,
  record() {},
  refused() {},
  requireWritable() {},
  argv: (argv) => shownArgv(argv, false),
  nextConnection: () => 0,
  close: () => Promise.resolve(),
};

/** How to record. */
export interface AuditOptions {
  /** Native path. */
  readonly path: string;
  /** Show arguments, not only their SHA-256. */
  readonly fullArgv: boolean;
  /** When the log cannot be written: `refuse` starts, changes of files and HTTP requests, or `continue` without. */
  readonly onFailure: "refuse" | "continue";
  /** Texts that must never get into the log, wherever they come from. */
  readonly secrets: readonly string[];
  readonly log: Log;
}

/** Refusals that are written within a second; the others are counted. */
export const MAX_REFUSALS_PER_SECOND = 100;
/** A shorter text is no secret, and would be found everywhere. */
const LEAST_SECRET_CHARS = 8;
const SESSION_DIGITS = 16;

/** What stands for a session in the log: whoever reads its id could take it over. */
export function sessionDigest(id: string): string {
  return createHash("sha256").update(id).digest("hex").slice(0, SESSION_DIGITS);
}

/** Opens an audit log and records `first` in it. @throws when that cannot be written, unless told to continue */
export async function openAudit(options: AuditOptions, first: AuditEvent): Promise<Audit> {
  const { path, onFailure, log } = options;
  const stopServing = (problem: string) => new Error(`${cannotWrite(problem)}; --audit-log ${path}`);
  let file: AuditFile;
  let changed = () => {};
  try {
    file = await openAuditFile(path, () => changed());
  } catch (error) {
    const problem = messageOf(error);
    if (onFailure === "refuse") throw stopServing(problem);
    log("warn", AUDIT_FAILED_TEXT, { path, problem });
    return NO_AUDIT;
  }
  const audit = createAudit(file, options);
  audit.record(first);
  await file.settled();
  if (file.problem !== undefined && onFailure === "refuse") throw stopServing(file.problem);
  changed = audit.watch; // from now on it is said on stderr
  changed();
  return audit;
}

/** An audit log that is to be told when its file fails, or works again. */
interface WatchedAudit extends Audit {
  watch(): void;
}

function createAudit(
  file: AuditFile,
  { path, fullArgv, onFailure, secrets, log }: AuditOptions,
): WatchedAudit {
  const run = randomUUID().slice(0, 8);
  const hidden = secrets.filter((secret) => secret.length >= LEAST_SECRET_CHARS);
  let seq = 0;
  let lost = 0;
  let connections = 0;
  let told: string | undefined;
  let second = 0;
  let refusals = 0;
  let suppressed = 0;

  /** Each text before it is escaped: JSON writes quotes and backslashes in another way, and a secret may have some. */
  const withoutSecrets = (_name: string, value: unknown) =>
    typeof value === "string"
      ? hidden.reduce((text, secret) => text.replaceAll(secret, REDACTED), value)
      : value;

  /** Says on stderr when the log fails, and when it works again. */
  const watch = () => {
    const { problem } = file;
    if (problem === told) return;
    told = problem;
    log("warn", problem === undefined ? "the audit log is written again" : AUDIT_FAILED_TEXT, {
      path,
      ...(problem !== undefined && { problem }),
    });
  };

  const write = (event: AuditEvent): boolean => {
    const line = { time: new Date().toISOString(), run, seq: ++seq, ...event };
    return file.append(`${JSON.stringify(line, withoutSecrets)}\n`);
  };

  const record = (event: AuditEvent) => {
    watch();
    if (lost > 0 && write({ event: "audit.lost", lines: lost })) lost = 0;
    if (!write(event)) lost++;
  };

  return {
    enabled: true,
    watch,
    record,
    refused(event) {
      const now = Math.floor(performance.now() / 1000);
      if (now !== second) refusals = 0;
      second = now;
      if (++refusals > MAX_REFUSALS_PER_SECOND) return void suppressed++;
      record(suppressed > 0 ? { ...event, suppressed } : event);
      suppressed = 0;
    },
    requireWritable() {
      watch();
      if (file.problem === undefined || onFailure === "continue") return;
      throw new ExecServerError("AUDIT_FAILED", cannotWrite(file.problem), { rpcCode: RpcCode.internal });
    },
    argv: (argv) => shownArgv(argv, fullArgv),
    nextConnection: () => ++connections,
    close: () => file.close(),
  };
}

function cannotWrite(problem: string): string {
  return `${AUDIT_FAILED_TEXT} (${problem}): make room or repair it, or serve with --audit-failure continue`;
}
