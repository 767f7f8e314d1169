/** `exec-server attach --read-only`: watches a process of somebody's session, and touches nothing. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Environment } from "../environment.ts";
import type { ExitStatus, Process } from "../process/trait.ts";
import { deferred } from "../runtime/deferred.ts";
import { type ConnectionNotice, connectionNotice } from "./connection_notice.ts";
import { ExitCode, exitCodeOf, UsageError } from "./exit.ts";
import { connectionReport, type Options, textOption, tlsOptions } from "./options.ts";
import { printable } from "./printable.ts";
import { createScreenModes } from "./screen_modes.ts";
import { sessionOptions } from "./session.ts";
import { onSignals } from "./signals.ts";
import { atTerminal, type RawTerminal, rawTerminal } from "./terminal.ts";
import { written } from "./written.ts";

const CTRL_C = 0x03;
/** A screen that takes nothing any more must not keep us. */
const UNDO_LIMIT_MS = 1_000;

/** Prints the process's output until it ends, and returns its exit code; 130 after Ctrl-C, and the process goes on. */
export async function observe(options: Options): Promise<number> {
  const { url, session } = sessionOptions(options);
  const processId = textOption(options, "process");
  if (processId === undefined) {
    // To list the processes of a session one would have to take it from its owner.
    throw new UsageError("attach --read-only needs --process ID, as `run --detach` printed it");
  }
  // A session of our own: nobody notices.
  const notice = connectionNotice();
  await using environment = await Environment.connect(url, {
    clientName: "exec-server-cli",
    ...tlsOptions(options, url),
    ...(atTerminal() ? notice.options : connectionReport(options)),
  });
  const end = await watch(await environment.processes.observe(session, processId), notice);
  return typeof end === "number" ? end : exitCodeOf(end);
}

async function watch(observed: Process, notice: ConnectionNotice): Promise<number | ExitStatus> {
  const done = deferred<number | ExitStatus>();
  const leave = () => done.resolve(ExitCode.interrupted);
  const modes = createScreenModes();
  let terminal: RawTerminal | undefined;

  const say = (text: string) => {
    process.stderr.write(
      terminal ? `\r\nexec-server: ${printable(text)}\r\n` : `exec-server: ${printable(text)}\n`,
    );
  };
  const readKeys = async () => {
    const input: AsyncIterable<unknown> = process.stdin;
    for await (const chunk of input) if (chunk instanceof Uint8Array && chunk.includes(CTRL_C)) leave();
    leave();
  };
  const show = async () => {
    let seq: number | undefined;
    for await (const event of observed.events()) {
      if (seq !== undefined && event.seq > seq + 1) {
        say(`${event.seq - seq - 1} pieces of output are missing here: this end was too slow`);
      }
      seq = event.seq;
      if (event.type !== "output") continue;
      if (event.stream === "pty") {
        modes.see(event.bytes);
        // Ours would change what that terminal shows, and echo keys into it.
        if (!terminal && atTerminal()) {
          terminal = rawTerminal(modes.undo);
          readKeys().catch(leave);
        }
      }
      const to = event.stream === "stderr" ? process.stderr : process.stdout;
      await written(to, event.bytes);
    }
    done.resolve(await observed.wait());
  };

  const unread = () => done.resolve(ExitCode.brokenPipe);
  process.stdout.on("error", unread);
  process.stderr.on("error", unread);
  const stop = [
    onSignals({ SIGINT: leave, SIGTERM: leave, SIGHUP: leave, SIGQUIT: leave }),
    notice.listen({
      broken: (reason) => say(`the connection is broken (${reason}); trying to get it back. Ctrl-C leaves.`),
      back: () => say("connected again"),
    }),
  ];
  try {
    show().catch(done.reject);
    return await done.promise;
  } finally {
    for (const each of stop) each();
    const undo = modes.undo();
    if (undo !== "") {
      await Promise.race([written(process.stdout, undo), delay(UNDO_LIMIT_MS)]);
    }
    terminal?.restore();
  }
}
