/** `exec-server serve`. */
import { realpathSync, statSync } from "node:fs";
import process from "node:process";
import type { Floor } from "../sandbox/floor.ts";
import { takeCustody } from "../server/custody.ts";
import { parseListen } from "../server/address.ts";
import { listen } from "../server/listen.ts";
import { descriptorLimit, withinDescriptors } from "../server/limits.ts";
import { LOG_LEVELS, stderrLog } from "../server/log.ts";
import { createServer, DEFAULT_SERVER_OPTIONS } from "../server/server.ts";
import { ExitCode, UsageError } from "./exit.ts";
import { serverLimits } from "./server_limits.ts";
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

/** Serves until SIGINT, SIGTERM or SIGHUP, then ends everything and returns 0. A second signal ends it at once. */
export async function serve(options: Options): Promise<number> {
  const auth = wordOption(options, "ws-auth", ["none"], "none");
  if (auth !== "none") throw new UsageError("unreachable");
  const address = parseListen(textOption(options, "listen") ?? "ws://127.0.0.1:0");
  const log = stderrLog(
    wordOption(options, "log-level", LOG_LEVELS, "warn"),
    wordOption(options, "log-format", ["text", "json"], "text") === "json",
  );
  const floor = floorOption(options);
  const { retention } = DEFAULT_SERVER_OPTIONS;
  const limits = serverLimits(options);
  const held = withinDescriptors(limits, descriptorLimit());
  if (held.connections < limits.connections || held.processes < limits.processes) {
    const { connections, processes } = held;
    log("warn", "fewer than asked for: raise the hard limit of open files (ulimit -Hn)", {
      connections,
      processes,
    });
  }
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
    limits: held,
    retention: {
      maxBytes: sizeOption(options, "retained-output", retention.maxBytes),
      dropOldest: wordOption(options, "when-full", ["wait", "drop-oldest"], "wait") === "drop-oldest",
      memory: retention.memory,
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
  const listening = await listen(server, address);
  process.stdout.write(`${listening.url}\n`);
  log("info", "listening", { url: listening.url });
  const swept = server.enforcement.journal.sweep().catch((error: unknown) => {
    log("warn", "what earlier sandboxes left could not be removed", { error: String(error) });
  });
  const signal = await stop;
  log("info", "shutting down", { signal });
  await listening.close();
  await custody.release();
  await swept; // else its lock would stay, and hold up the next server for a while
  return 0;
}
