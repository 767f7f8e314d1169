/** `exec-server attach`: goes on with a process of a session, or watches it. */
import { connectionNotice } from "./connection_notice.ts";
import { interact } from "./interactive.ts";
import { interactiveCode } from "./interactive_end.ts";
import { observe } from "./observe.ts";
import { connectionReport, escapeOption, type Options, switchOption } from "./options.ts";
import { relay } from "./relay.ts";
import { chosenProcess, withSession } from "./session.ts";
import { atTerminal } from "./terminal.ts";

/**
 * Goes on with a process: its output from the oldest that is kept, its exit code; its terminal, when it has one and we
 * are at one. Takes the session over.
 */
export async function attach(options: Options): Promise<number> {
  const escape = escapeOption(options);
  if (switchOption(options, "read-only")) return await observe(options);
  const notice = connectionNotice();
  const report = connectionReport(options);
  let interactive = false;
  const onConnectionChange: NonNullable<typeof report.onConnectionChange> = (state, reason) => {
    const listener = interactive ? notice.options : report;
    listener.onConnectionChange?.(state, reason);
  };
  return await withSession(options, true, async (session, server) => {
    const id = await chosenProcess(session, options);
    const inTerminal = (await session.processes.list().catch(() => [])).some((one) =>
      one.id === id && one.tty === true
    );
    const attached = await session.processes.attach(id);
    interactive = inTerminal && atTerminal();
    if (!interactive) return await relay(attached, "none");
    const end = await interact(attached, { escape, detachable: true, redraw: true, notice });
    return interactiveCode(end, session, attached, { server, options });
  }, { onConnectionChange });
}
