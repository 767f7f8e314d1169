/** `exec-server serve`. */
import process from "node:process";
import { listen, parseListen } from "../server/listen.ts";
import { LOG_LEVELS, stderrLog } from "../server/log.ts";
import { createServer, DEFAULT_SERVER_OPTIONS } from "../server/server.ts";
import { ExitCode, UsageError } from "./exit.ts";
import { countOption, type Options, textOption, wordOption } from "./options.ts";

/** Serves until SIGINT, SIGTERM or SIGHUP, then ends everything and returns 0. A second signal ends it at once. */
export async function serve(options: Options): Promise<number> {
  const auth = wordOption(options, "ws-auth", ["none"], "none");
  if (auth !== "none") throw new UsageError("unreachable");
  const address = parseListen(textOption(options, "listen") ?? "ws://127.0.0.1:0");
  const log = stderrLog(
    wordOption(options, "log-level", LOG_LEVELS, "warn"),
    wordOption(options, "log-format", ["text", "json"], "text") === "json",
  );
  const server = await createServer({
    concurrentRequests: countOption(
      options,
      "concurrent-requests",
      1,
      65_536,
      DEFAULT_SERVER_OPTIONS.concurrentRequests,
    ),
    sessionTtlMs: 1000 *
      countOption(options, "session-ttl", 1, 7 * 86_400, DEFAULT_SERVER_OPTIONS.sessionTtlMs / 1000),
  }, log);
  // A defect in the handling of one request must not end everybody's processes.
  process.on(
    "uncaughtException",
    (error) => log("error", "unexpected error", { error: error.stack ?? error.message }),
  );
  const stop = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      let seen = false;
      process.on(signal, () => {
        if (seen) process.exit(ExitCode.failure);
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
  return 0;
}
