/** `exec-server serve`. */
import { realpathSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import process from "node:process";
import type { Floor } from "../sandbox/floor.ts";
import { messageOf } from "../protocol/error.ts";
import { setTraceable } from "../runtime/traceable.ts";
import { type Account, findAccount } from "../server/account.ts";
import { takeCustody } from "../server/custody.ts";
import { isLocal, withToken } from "../server/address.ts";
import { createAuth, LONG_TOKEN_CHARS } from "../server/auth.ts";
import { descriptorLimit, withinDescriptors } from "../server/limits.ts";
import { listen, type ListenOptions } from "../server/listen.ts";
import { type Log, LOG_LEVELS, stderrLog } from "../server/log.ts";
import { dropPrivileges, isRealRoot, ROOT_WARNING } from "../server/privileges.ts";
import { createServer, DEFAULT_SERVER_OPTIONS, type ServerOptions } from "../server/server.ts";
import { announce, connectionFiles } from "./announce.ts";
import { sandboxWords } from "./sandbox.ts";
import { authOption } from "./serve_auth.ts";
import { ExitCode, UsageError } from "./exit.ts";
import { listenOptions } from "./listen_options.ts";
import { endingSignal } from "./serve_signals.ts";
import { serverLimits } from "./server_limits.ts";
import {
  countOption,
  MAX_TIMER_SECONDS,
  type Options,
  sizeOption,
  switchOption,
  textOption,
  wordOption,
} from "./options.ts";
import { auditOptions, requireOutside } from "./serve_audit.ts";

function secondsOption(options: Options, name: string, otherwiseMs: number): number {
  return 1000 * countOption(options, name, 1, MAX_TIMER_SECONDS, otherwiseMs / 1000);
}

/** `--sandbox-floor` and what belongs to it. @throws UsageError when a root is no directory */
function floorOption(options: Options): Floor | undefined {
  const chosen = sandboxWords(options, "sandbox-floor");
  return chosen && { kind: chosen.mode, network: chosen.network, roots: chosen.roots.map(realFolder) };
}

function realFolder(path: string): string {
  try {
    const real = realpathSync(path);
    if (statSync(real).isDirectory()) return real;
  } catch {
    // said below
  }
  throw new UsageError(`--sandbox-root ${path}: no such directory`);
}

/** What would let a program in a sandbox connect or pass for us, beside the token. */
function secretsOf({ address, tls }: ListenOptions): string[] {
  return [...("path" in address ? [address.path] : []), ...(tls ? [resolve(tls.files.key)] : [])];
}

/** @throws UsageError where `--ws-auth none` would let strangers in */
function requireNoAuth({ address, tls }: ListenOptions, log: Log): void {
  if (tls?.files.clientCa !== undefined) return; // a certificate is a proof, too
  if (!isLocal(address)) {
    throw new UsageError(
      "--ws-auth none is for loopback addresses, Unix sockets and --tls-client-ca: leave it out, and a token is needed",
    );
  }
  const who = "path" in address ? "who can open the socket" : "every user of this machine";
  log("warn", `--ws-auth none: ${who} may run commands as this user`);
}

/** Says what a token that a person has chosen means for everyone behind one address. */
function warnOfShortToken(token: string, log: Log): void {
  if (token.length >= LONG_TOKEN_CHARS) return;
  log(
    "warn",
    `--ws-token-file: the token has fewer than ${LONG_TOKEN_CHARS} characters: it may be guessed, and who tries keeps ` +
      "others of the same address out; take a random one (docs/auth.md)",
  );
}

/** `--user`. @throws UsageError when there is no such user, or it is root */
function userOption(options: Options): Account | undefined {
  const user = textOption(options, "user");
  if (user === undefined) return undefined;
  try {
    return findAccount(user);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/**
 * Serves until SIGINT, SIGTERM or SIGHUP, then ends everything and returns 0. A second signal, whichever of them, ends
 * it at once. With TLS, SIGHUP does not end it: it reads the certificate again. Nor does it under nohup(1).
 */
export async function serve(options: Options): Promise<number> {
  const { mode, token, secrets } = await authOption(options);
  const where = listenOptions(options);
  const log = stderrLog(
    wordOption(options, "log-level", LOG_LEVELS, "warn"),
    wordOption(options, "log-format", ["text", "json"], "text") === "json",
  );
  if (mode.kind === "none") requireNoAuth(where, log);
  if (mode.kind === "capability-token" && token !== undefined) warnOfShortToken(token, log);
  const floor = floorOption(options);
  const auditing = auditOptions(options, token);
  if (floor && auditing.path !== undefined) requireOutside(auditing.path, floor.roots);
  const account = userOption(options);
  const { retention } = DEFAULT_SERVER_OPTIONS;
  const limits = serverLimits(options);
  const held = withinDescriptors(limits, descriptorLimit());
  if (held.connections < limits.connections || held.processes < limits.processes) {
    const { connections, processes } = held;
    const asked = textOption(options, "max-connections") ?? textOption(options, "max-processes");
    log(
      asked === undefined ? "info" : "warn",
      "fewer connections or processes: raise the hard limit of open files (ulimit -Hn)",
      {
        connections,
        processes,
      },
    );
  }
  const chosen: ServerOptions = {
    concurrentRequests: countOption(
      options,
      "concurrent-requests",
      1,
      65_536,
      DEFAULT_SERVER_OPTIONS.concurrentRequests,
    ),
    sessionTtlMs: secondsOption(options, "session-ttl", DEFAULT_SERVER_OPTIONS.sessionTtlMs),
    maxSessionTtlMs: secondsOption(options, "max-session-ttl", DEFAULT_SERVER_OPTIONS.maxSessionTtlMs),
    takeOver: options["takeOver"] !== false, // cac turns --no-take-over into `takeOver: false`
    shutdownGraceMs: 1000 *
      countOption(
        options,
        "shutdown-grace",
        0,
        MAX_TIMER_SECONDS,
        DEFAULT_SERVER_OPTIONS.shutdownGraceMs / 1000,
      ),
    floor,
    // Over TLS every runtime tells how much of a message has come, at no cost.
    limits: { ...held, boundIncoming: held.boundIncoming || where.tls !== undefined },
    retention: {
      maxBytes: sizeOption(options, "retained-output", retention.maxBytes),
      dropOldest: wordOption(options, "when-full", ["wait", "drop-oldest"], "wait") === "drop-oldest",
      memory: retention.memory,
      spillFolder: retention.spillFolder,
      shared: {
        usedBytes: 0,
        maxBytes: sizeOption(options, "server-retained-output", retention.shared.maxBytes),
      },
    },
  };
  // A defect in the handling of one request must not end everybody's processes.
  process.on(
    "uncaughtException",
    (error) => log("error", "unexpected error", { error: error.stack ?? error.message }),
  );
  const custody = await takeCustody(log);
  const audit = await auditing.open(account?.uid ?? process.getuid?.() ?? null, log);
  if (account) {
    await custody.giveTo(account);
    dropPrivileges(account); // what needs root has to be done by now
  }
  await setTraceable(switchOption(options, "traceable"));
  const spillFolder = textOption(options, "spill-dir") ?? tmpdir(); // as it is for whom we are by now
  const server = await createServer(
    {
      ...chosen,
      retention: { ...chosen.retention, spillFolder },
      secrets: [...secrets, ...secretsOf(where), ...connectionFiles(options)],
      auditLog: auditing.path,
    },
    log,
    audit,
  );
  const stop = endingSignal({
    hangUp: where.tls === undefined,
    again() {
      custody.abandon();
      process.exit(ExitCode.failure);
    },
  });
  const listening = await listen(server, where, createAuth(mode));
  if (listening.reloadCertificate) process.on("SIGHUP", listening.reloadCertificate);
  const forget = announce(options, { url: listening.url, token }, log);
  // The one line; only our own random token is part of it.
  process.stdout.write(`${mode.kind === "token" ? withToken(listening.url, mode.token) : listening.url}\n`);
  log("info", "listening", { url: listening.url, auth: mode.kind });
  audit.record({ event: "server.listening", url: listening.url });
  server.idle();
  if (isRealRoot()) log("warn", ROOT_WARNING);
  const swept = server.enforcement.journal.sweep().catch((error: unknown) => {
    log("warn", "what earlier sandboxes left could not be removed", { error: String(error) });
  });
  const signal = await stop;
  log("info", "shutting down", { signal });
  forget();
  await listening.close();
  await custody.release();
  audit.record({ event: "server.stopped", signal });
  await audit.close();
  await swept; // else its lock would stay, and hold up the next server for a while
  return 0;
}
