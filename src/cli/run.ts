/** `exec-server run -- COMMAND…`: the command's streams and exit code become ours. */
import { fstatSync } from "node:fs";
import process from "node:process";
import type { Environment } from "../environment.ts";
import type { StartOptions } from "../process/trait.ts";
import { connectionNotice } from "./connection_notice.ts";
import { complain, ExitCode, explain, UsageError } from "./exit.ts";
import { interact } from "./interactive.ts";
import { forAWhile, interactiveCode } from "./interactive_end.ts";
import { limitOptions } from "./limits.ts";
import { connectionReport, type Options, switchOption, ttlOption } from "./options.ts";
import { chosenServer, openEnvironment, requireServer } from "./server_choice.ts";
import { type Input, relay } from "./relay.ts";
import { inTerminal, startFailure, startOptions, startThere } from "./start.ts";
import { atTerminal } from "./terminal.ts";

/** Runs a command and returns its exit code, or 125 to 127 when it could not be run. */
export async function run(command: readonly string[], options: Options): Promise<number> {
  if (command.length === 0) {
    throw new UsageError("no command: write it after `--`, for example `exec-server run -- ls -l`");
  }
  const detach = switchOption(options, "detach");
  const server = detach ? requireServer(options, "--detach needs a server") : chosenServer(options);
  const tty = switchOption(options, "tty");
  const takesInput = !detach && options["stdin"] !== false; // cac turns --no-stdin into `stdin: false`
  const interactive = tty && takesInput && atTerminal();
  const piped = takesInput && stdinIsPiped();
  const plain = { argv: command, ...startOptions(options), ...limitOptions(options) };
  const start: StartOptions = tty ? inTerminal(plain) : { ...plain, pipeStdin: piped };
  const notice = connectionNotice();
  let environment: Environment;
  try {
    const report = interactive ? notice.options : connectionReport(options);
    environment = await openEnvironment(server, options, { ...ttlOption(options), ...report });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    complain(explain(error));
    return ExitCode.runFailed;
  }
  try {
    const started = await startThere(environment, start);
    if (detach) {
      process.stdout.write(`${environment.sessionId} ${started.id}\n`);
      // For people: scripts read the line, and take anything on stderr for a failure.
      if (process.stderr.isTTY) complain(`process ${started.id} goes on${forAWhile(environment)}`);
      return 0;
    }
    if (interactive) {
      // No escapes: `run` is for scripts and pipelines, where every byte is meant.
      const how = { escape: undefined, detachable: false, redraw: false, notice };
      return interactiveCode(await interact(started, how), environment, started, { server, options });
    }
    // A terminal has no /dev/null: without input of ours its input ends at once.
    const input: Input = piped ? "ours" : tty ? "end" : "none";
    return await relay(started, input);
  } catch (error) {
    return await startFailure(error, environment, start);
  } finally {
    await environment.close();
  }
}

/** Only a pipe, a file or a socket is forwarded: a terminal stays the user's, /dev/null has nothing. */
function stdinIsPiped(): boolean {
  try {
    const stat = fstatSync(0);
    return stat.isFIFO() || stat.isFile() || stat.isSocket();
  } catch {
    return false; // closed
  }
}
