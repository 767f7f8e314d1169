/** `exec-server kill`: ends processes of a session, or sends them a signal. */
import { constants } from "node:os";
import type { Environment } from "../environment.ts";
import type { ProcessSummary, SignalName } from "../process/trait.ts";
import { SIGNALS } from "../protocol/process.ts";
import { complain, ExitCode, UsageError } from "./exit.ts";
import { millisecondsOption, type Options, switchOption, textOption } from "./options.ts";
import { chosenProcess, withSession } from "./session.ts";

/**
 * Ends one process of a session and everything that came of it, or sends a signal; all of them with `--all`. Returns 1
 * when nothing was running, or something could not be killed.
 */
export async function kill(options: Options): Promise<number> {
  const name = textOption(options, "signal");
  const signal = name === undefined ? undefined : signalOf(name);
  const graceMs = millisecondsOption(options, "grace", 0);
  if (signal && graceMs !== undefined) {
    throw new UsageError("--grace is for ending the whole tree: leave out --signal");
  }
  return await withSession(options, switchOption(options, "force"), async (session) => {
    const listed = await session.processes.list();
    const ids = switchOption(options, "all")
      ? listed.map(({ id }) => id)
      : [await chosenProcess(session, options)];
    const done = await Promise.all(ids.map((id) => {
      if (signal) return send(session, id, signal, listed);
      return terminate(session, id, graceMs);
    }));
    // Several may be running: a failure of one counts, something that had ended before does not.
    const failed = done.includes("failed") || !done.includes("done");
    return failed ? ExitCode.failure : 0;
  });
}

/** `TERM`, `sigterm`, `SIGTERM` or `15` as a signal. */
export function signalOf(text: string): SignalName {
  const wanted = text.toUpperCase().replace(/^(?:SIG)?(?=[A-Z])/, "SIG");
  const found = SIGNALS.find((name) => name === wanted || String(constants.signals[name]) === text);
  if (found) return found;
  const names = SIGNALS.map((name) => name.slice(3)).join(" ");
  throw new UsageError(`unknown signal '${text}': use a number, or one of ${names}`);
}

type Done = "done" | "nothing" | "failed";

async function send(
  session: Environment,
  id: string,
  signal: SignalName,
  listed: readonly ProcessSummary[],
): Promise<Done> {
  const one = await session.processes.attach(id);
  if (listed.find((each) => each.id === id)?.exit) {
    complain(`process ${id} has ended`);
    return "nothing";
  }
  await one.signal(signal);
  return "done";
}

async function terminate(session: Environment, id: string, graceMs: number | undefined): Promise<Done> {
  const one = await session.processes.attach(id);
  const { wasRunning, survivors } = await one.terminate({ graceMs });
  if (survivors.length > 0) {
    complain(`of process ${id} could not be killed: ${survivors.join(", ")} (process ids there)`);
    return "failed";
  }
  return wasRunning ? "done" : "nothing";
}
