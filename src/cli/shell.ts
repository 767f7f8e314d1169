/** `exec-server shell`: an interactive shell there, in our terminal. */
import { posix } from "node:path";
import type { Environment } from "../environment.ts";
import type { StartOptions } from "../process/trait.ts";
import { connectionNotice } from "./connection_notice.ts";
import { complain, ExitCode, explain, UsageError } from "./exit.ts";
import { interact } from "./interactive.ts";
import { interactiveCode } from "./interactive_end.ts";
import { escapeOption, type Options, ttlOption } from "./options.ts";
import { chosenServer, openEnvironment } from "./server_choice.ts";
import { inTerminal, startFailure, startOptions, startThere } from "./start.ts";
import { atTerminal } from "./terminal.ts";

/** Runs the account's login shell, or a command, in a terminal there; returns its exit code. */
export async function shell(command: readonly string[], options: Options): Promise<number> {
  const escape = escapeOption(options);
  const plain = startOptions(options);
  if (!atTerminal()) {
    throw new UsageError(
      "standard input is no terminal; use `exec-server run -- COMMAND` (with -t it gets a terminal there)",
    );
  }
  const server = chosenServer(options);
  const notice = connectionNotice();
  let environment: Environment;
  try {
    environment = await openEnvironment(server, options, { ...ttlOption(options), ...notice.options });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    complain(explain(error));
    return ExitCode.runFailed;
  }
  let start: StartOptions = { argv: command, ...plain };
  try {
    if (command.length === 0) {
      const { path } = (await environment.info.get()).shell;
      // A login shell, as ssh starts it: it reads the profile, which sets the PATH.
      start = { ...start, argv: [path], arg0: `-${posix.basename(path)}` };
    }
    const started = await startThere(environment, inTerminal(start));
    const detachable = environment.sessionId !== undefined;
    const end = await interact(started, { escape, detachable, redraw: false, notice });
    return interactiveCode(end, environment, started, { server, options });
  } catch (error) {
    return await startFailure(error, environment, start);
  } finally {
    await environment.close();
  }
}
