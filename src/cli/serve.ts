/** `exec-server serve`. */
import process from "node:process";
import { takeCustody } from "../server/custody.ts";
import { listen, parseListen } from "../server/listen.ts";
import { LOG_LEVELS, stderrLog } from "../server/log.ts";
import { createServer, DEFAULT_SERVER_OPTIONS } from "../server/server.ts";
import { ExitCode, UsageError } from "./exit.ts";
import { countOption, type Options, sizeOption, textOption, wordOption } from "./options.ts";

/** The longest time that a timer can hold, in seconds (setTimeout takes 31 bits of ms). */
const MAX_SECONDS = 2_147_483;

function secondsOption(options: Options, name: string, otherwiseMs: number): number {
  return 1000 * countOption(options, name, 1, MAX_SECONDS, otherwiseMs / 1000);
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
      countOption(options, "shutdown-grace", 0, MAX_SECONDS, DEFAULT_SERVER_OPTIONS.shutdownGraceMs / 1000),
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
  const listening = await listen(server, address);
  process.stdout.write(`${listening.url}\n`);
  log("info", "listening", { url: listening.url });
  const signal = await stop;
  log("info", "shutting down", { signal });
  await listening.close();
  await custody.release();
  return 0;
}
