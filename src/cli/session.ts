/** What `attach`, `logs`, `ps` and `kill` share: a session that an earlier command left. */
import type { Environment } from "../environment.ts";
import type { RemoteOptions } from "../client/link.ts";
import { ExecServerError } from "../protocol/error.ts";
import { UsageError } from "./exit.ts";
import { connectionReport, type Options, textOption, ttlOption } from "./options.ts";
import { connectTo, requireServer, type ServerChoice } from "./server_choice.ts";

/** The server of a session, and the session. @throws UsageError when one of them is missing */
export function sessionOptions(options: Options): { server: ServerChoice; session: string } {
  const server = requireServer(options, "a session is on a server");
  const session = textOption(options, "session");
  if (session === undefined) throw new UsageError("pass --session ID, as `run --detach` printed it");
  return { server, session };
}

/** Works in the session that the options name, and lets go of it. */
export async function withSession(
  options: Options,
  takeOver: boolean,
  action: (session: Environment, server: ServerChoice) => Promise<number>,
  how: RemoteOptions = connectionReport(options),
): Promise<number> {
  const { server, session: id } = sessionOptions(options);
  try {
    await using session = await connectTo(server, options, {
      resumeSessionId: id,
      takeOver,
      ...ttlOption(options),
      ...how,
    });
    return await action(session, server);
  } catch (error) {
    if (error instanceof ExecServerError && error.code === "SESSION_ATTACHED") {
      throw new Error(`${error.message}; --force takes it over`);
    }
    throw error;
  }
}

/** The process that `--process` names, or the only one. */
export async function chosenProcess(session: Environment, options: Options): Promise<string> {
  const asked = textOption(options, "process");
  if (asked !== undefined) return asked;
  const [first, ...others] = await session.processes.list();
  if (!first) throw new Error("the session has no processes");
  if (others.length === 0) return first.id;
  throw new UsageError(
    `the session has ${others.length + 1} processes: pass --process ID (see \`exec-server ps\`)`,
  );
}
