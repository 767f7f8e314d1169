/** `exec-server attach|logs|ps|kill --session ID`: work with a session that an earlier `run --detach` left. */
import process from "node:process";
import { Environment } from "../environment.ts";
import { ExecServerError } from "../protocol/error.ts";
import { ExitCode, UsageError } from "./exit.ts";
import { connectionReport, type Options, serverUrl, switchOption, textOption, ttlOption } from "./options.ts";
import { relay } from "./relay.ts";

/** Goes on with a process: its output from the oldest that is kept, its exit code. Takes the session over. */
export async function attach(options: Options): Promise<number> {
  return await withSession(options, true, async (session) => {
    return await relay(await session.processes.attach(await chosenProcess(session, options)), false);
  });
}

/** Prints what is kept of a process's output, and leaves it there. */
export async function logs(options: Options): Promise<number> {
  return await withSession(options, switchOption(options, "force"), async (session) => {
    const kept = await session.processes.retained(await chosenProcess(session, options));
    if (kept.beginningLost) process.stderr.write("exec-server: older output is not kept any more\n");
    for (const { stream, bytes } of kept.chunks) {
      const to = stream === "stderr" ? process.stderr : process.stdout;
      await new Promise<void>((resolve) => to.write(bytes, () => resolve()));
    }
    if (kept.more) process.stderr.write("exec-server: there is more; `exec-server attach` gets all of it\n");
    return 0;
  });
}

/** Lists the processes of a session. */
export async function ps(options: Options): Promise<number> {
  return await withSession(options, switchOption(options, "force"), async (session) => {
    const processes = await session.processes.list();
    if (switchOption(options, "json")) {
      process.stdout.write(`${JSON.stringify(processes, null, 2)}\n`);
      return 0;
    }
    for (const { id, pid, state, exitCode, argv } of processes) {
      const end = exitCode === undefined ? "" : ` ${exitCode}`;
      process.stdout.write(`${id}\t${pid ?? "-"}\t${state}${end}\t${argv.join(" ")}\n`);
    }
    return 0;
  });
}

/** Kills one process of a session, or all with `--all`. Returns 1 when nothing was running. */
export async function kill(options: Options): Promise<number> {
  return await withSession(options, switchOption(options, "force"), async (session) => {
    const ids = switchOption(options, "all")
      ? (await session.processes.list()).map(({ id }) => id)
      : [await chosenProcess(session, options)];
    let killed = 0;
    for (const id of ids) {
      const one = await session.processes.attach(id);
      if (await one.terminate()) killed++;
      await one.wait();
    }
    return killed > 0 ? 0 : ExitCode.failure;
  });
}

async function withSession(
  options: Options,
  takeOver: boolean,
  action: (session: Environment) => Promise<number>,
): Promise<number> {
  const url = serverUrl(options);
  if (url === undefined) throw new UsageError("a session is on a server: pass --url");
  const id = textOption(options, "session");
  if (id === undefined) throw new UsageError("pass --session ID, as `run --detach` printed it");
  try {
    await using session = await Environment.connect(url, {
      clientName: "exec-server-cli",
      resumeSessionId: id,
      takeOver,
      ...ttlOption(options),
      ...connectionReport(options),
    });
    return await action(session);
  } catch (error) {
    if (error instanceof ExecServerError && error.code === "SESSION_ATTACHED") {
      throw new Error(`${error.message}; --force takes it over`);
    }
    throw error;
  }
}

async function chosenProcess(session: Environment, options: Options): Promise<string> {
  const asked = textOption(options, "process");
  if (asked !== undefined) return asked;
  const [first, ...others] = await session.processes.list();
  if (!first) throw new Error("the session has no processes");
  if (others.length === 0) return first.id;
  throw new UsageError(
    `the session has ${others.length + 1} processes: pass --process ID (see \`exec-server ps\`)`,
  );
}
