/** `exec-server serve`. */
import { realpathSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import type { Floor } from "../sandbox/floor.ts";
import { takeCustody } from "../server/custody.ts";
import { makeConnectionFolder, writeConnectionFile } from "../discovery/connection_file.ts";
import { isLoopback, parseListen, withToken } from "../server/address.ts";
import { messageOf } from "../protocol/error.ts";
import { createAuth } from "../server/auth.ts";
import { listen } from "../server/listen.ts";
import { type Log, LOG_LEVELS, stderrLog } from "../server/log.ts";
import { createServer, DEFAULT_SERVER_OPTIONS } from "../server/server.ts";
import { authOption } from "./serve_auth.ts";
import { ExitCode, UsageError } from "./exit.ts";
import {
  countOption,
  listOption,
  MAX_TIMER_SECONDS,
  type Options,
  sizeOption,
  switchOption,
  textOption,
  wordOption,
} from "./options.ts";

function secondsOption(options: Options, name: string, otherwiseMs: number): number {
  return 1000 * countOption(options, name, 1, MAX_TIMER_SECONDS, otherwiseMs / 1000);
}

/** `--sandbox-floor` and what belongs to it. @throws UsageError when a root is no directory */
function floorOption(options: Options): Floor | undefined {
  const kind = wordOption(options, "sandbox-floor", ["none", "read-only", "workspace-write"], "none");
  const roots = listOption(options, "sandbox-root");
  const network = switchOption(options, "sandbox-network");
  if (kind !== "workspace-write" && roots.length > 0) {
    throw new UsageError("--sandbox-root needs --sandbox-floor workspace-write");
  }
  if (kind === "none") {
    if (network) throw new UsageError("--sandbox-network needs --sandbox-floor");
    return undefined;
  }
  return { kind, network, roots: roots.map(realFolder) };
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

/** Value of `--connection-file`. */
const NO_FILE = "none";

/** Where connection files are: the folder of this user's servers, also of those to come, and the one that is named. */
function connectionFiles(options: Options): string[] {
  const named = textOption(options, "connection-file");
  const files = named === undefined || named === NO_FILE ? [] : [resolve(named)];
  try {
    return [makeConnectionFolder(), ...files];
  } catch {
    return files; // `announce` complains
  }
}

/** Writes the connection file. A server without one works, but has to be named. @returns removes it */
function announce(options: Options, how: { url: string; token: string | undefined }, log: Log): () => void {
  const named = textOption(options, "connection-file");
  if (named === NO_FILE) return () => {};
  try {
    return writeConnectionFile(how, named ?? join(makeConnectionFolder(), `${process.pid}.json`));
  } catch (error) {
    if (named !== undefined) throw error;
    log("warn", "no connection file: commands on this machine need --url", { error: messageOf(error) });
    return () => {};
  }
}

/** Serves until SIGINT, SIGTERM or SIGHUP, then ends everything and returns 0. A second signal ends it at once. */
export async function serve(options: Options): Promise<number> {
  const { mode, token, secrets } = await authOption(options);
  const address = parseListen(textOption(options, "listen") ?? "ws://127.0.0.1:0");
  const log = stderrLog(
    wordOption(options, "log-level", LOG_LEVELS, "warn"),
    wordOption(options, "log-format", ["text", "json"], "text") === "json",
  );
  if (mode.kind === "none") {
    if (!isLoopback(address)) {
      throw new UsageError("--ws-auth none is for loopback addresses; pass --ws-auth token or leave it out");
    }
    log(
      "warn",
      "--ws-auth none: whoever can connect, every user of this machine, may run commands as this user",
    );
  }
  const floor = floorOption(options);
  const { retention } = DEFAULT_SERVER_OPTIONS;
  const server = await createServer({
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
    secrets: [...secrets, ...connectionFiles(options)],
    retention: {
      maxBytes: sizeOption(options, "retained-output", retention.maxBytes),
      dropOldest: wordOption(options, "when-full", ["wait", "drop-oldest"], "wait") === "drop-oldest",
      spillFolder: textOption(options, "spill-dir") ?? retention.spillFolder,
      shared: {
        usedBytes: 0,
        maxBytes: sizeOption(options, "server-retained-output", retention.shared.maxBytes),
      },
    },
  }, log);
  // A defect in the handling of one request must not end everybody's processes.
  process.on(
    "uncaughtException",
    (error) => log("error", "unexpected error", { error: error.stack ?? error.message }),
  );
  const custody = await takeCustody(log);
  const stop = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      let seen = false;
      process.on(signal, () => {
        if (seen) {
          custody.abandon();
          process.exit(ExitCode.failure);
        }
        seen = true;
        resolve(signal);
      });
    }
  });
  const listening = await listen(server, address, createAuth(mode));
  const forget = announce(options, { url: listening.url, token }, log);
  // The one line; only our own random token is part of it.
  process.stdout.write(`${mode.kind === "token" ? withToken(listening.url, mode.token) : listening.url}\n`);
  log("info", "listening", { url: listening.url, auth: mode.kind });
  const swept = server.enforcement.journal.sweep().catch((error: unknown) => {
    log("warn", "what earlier sandboxes left could not be removed", { error: String(error) });
  });
  const signal = await stop;
  log("info", "shutting down", { signal });
  forget();
  await listening.close();
  await custody.release();
  await swept; // else its lock would stay, and hold up the next server for a while
  return 0;
}
