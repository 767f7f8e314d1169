/** What a terminal session says and exits with at its end. */
import type { Environment } from "../environment.ts";
import type { Process } from "../process/trait.ts";
import { complain, ExitCode, exitCodeOf } from "./exit.ts";
import type { InteractiveEnd } from "./interactive.ts";
import { type Options, tlsArguments } from "./options.ts";
import { shellCommand } from "./printable.ts";
import type { ServerChoice } from "./server_choice.ts";

/** How the server was reached. */
interface Way {
  readonly server: ServerChoice | undefined;
  readonly options: Options;
}

/** The exit code of a terminal session; says how to come back to a process that may go on. */
export function interactiveCode(
  end: InteractiveEnd,
  environment: Environment,
  { id }: Process,
  way: Way,
): number {
  switch (end.kind) {
    case "exited":
      return exitCodeOf(end.exit);
    case "detached":
      complain(
        `detached; process ${id} of session ${environment.sessionId} goes on${forAWhile(environment)}.`,
      );
      complain(`attach again: ${wayBack(environment, id, way)}`);
      return 0;
    case "abandoned":
      complain("left without an answer; the process may still run");
      if (environment.sessionId !== undefined) complain(`attach again: ${wayBack(environment, id, way)}`);
      return ExitCode.runFailed;
    case "unread":
      return ExitCode.brokenPipe;
  }
}

/** How long a process goes on that nobody attaches to, as the end of a sentence; nothing when that is not known. */
export function forAWhile({ sessionTtlMs }: Environment): string {
  if (sessionTtlMs === undefined) return "";
  return `; it is ended when nobody attaches for ${sessionTtlMs / 1000} s (--session-ttl)`;
}

function wayBack(environment: Environment, process: string, { server, options }: Way): string {
  return shellCommand([
    ...["exec-server", "attach"],
    ...server?.again ?? [],
    ...tlsArguments(options),
    ...["--session", environment.sessionId ?? ""],
    ...["--process", process],
  ]);
}
