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
    const chosen = switchOption(options, "all") ? undefined : await chosenProcess(session, options);
    const ids = chosen === undefined ? listed.map(({ id }) => id) : [chosen];
    const done = await Promise.all(ids.map((id) => {
      const before = listed.find((each) => each.id === id);
      return signal ? send(session, id, signal, before) : terminate(session, id, graceMs, before);
    }));
    // Several may be running: a failure of one counts, something that had ended before does not.
    if (done.includes("failed")) return ExitCode.failure;
    if (done.includes("done")) return 0;
    complain(chosen === undefined ? "nothing of the session runs" : `process ${chosen} has ended`);
    return ExitCode.failure;
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
  before: ProcessSummary | undefined,
): Promise<Done> {
  const one = await session.processes.attach(id);
  if (before?.exit && !leftBy(before)) return "nothing";
  await one.signal(signal);
  return "done";
}

/** True when a process that has exited has left something that runs. */
function leftBy(one: ProcessSummary | undefined): boolean {
  return (one?.usage?.processes ?? 0) > 0;
}

async function terminate(
  session: Environment,
  id: string,
  graceMs: number | undefined,
  before: ProcessSummary | undefined,
): Promise<Done> {
  const one = await session.processes.attach(id);
  const { wasRunning, survivors } = await one.terminate({ graceMs });
  if (survivors.length > 0) {
    complain(`of process ${id} could not be killed: ${survivors.join(", ")} (process ids there)`);
    return "failed";
  }
  return wasRunning || leftBy(before) ? "done" : "nothing";
}
