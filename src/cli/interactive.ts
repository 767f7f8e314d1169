/** A process's terminal becomes ours: keys, screen, size; and commands to ourselves. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { isatty } from "node:tty";
import type { ExitStatus, Process } from "../process/trait.ts";
import { deferred } from "../runtime/deferred.ts";
import type { ConnectionNotice } from "./connection_notice.ts";
import { characterName, createEscapes, type EscapeCommand } from "./escape.ts";
import { followSize } from "./follow_size.ts";
import { keysFor } from "./keys.ts";
import { printable } from "./printable.ts";
import { createScreenModes } from "./screen_modes.ts";
import { endForGood, onSignals, passOn, stopOurselves } from "./signals.ts";
import { onResize, rawTerminal, terminalSize } from "./terminal.ts";
import { written } from "./written.ts";

/** How a terminal session is to be. */
export interface InteractiveOptions {
  /** What begins a command to us; undefined: every key goes to the program. */
  readonly escape: number | undefined;
  /** It can go on without us. */
  readonly detachable: boolean;
  /** Something may have been on its screen before. */
  readonly redraw: boolean;
  readonly notice: ConnectionNotice;
}

/** How a terminal session ended; `abandoned`: on request, and nobody knows whether the process ended too. */
export type InteractiveEnd =
  | { readonly kind: "exited"; readonly exit: ExitStatus }
  | { readonly kind: "detached" }
  | { readonly kind: "abandoned" }
  | { readonly kind: "unread" };

/** What a shell and its jobs get to clean up after SIGHUP. */
const HANG_UP_GRACE_MS = 1_000;
const HANG_UP_AGAIN_MS = 200;
/** After this we leave without an answer of the server; sooner when it is out of reach anyway. */
const LEAVE_LIMIT_MS = 5_000;
const LEAVE_BROKEN_LIMIT_MS = 1_000;
/** A screen that takes nothing any more must not keep us. */
const UNDO_LIMIT_MS = 1_000;

/**
 * Runs until the process ends, or the person leaves it. Our terminal is as before then.
 * @throws ExecServerError when the process cannot be had any more
 */
export async function interact(started: Process, options: InteractiveOptions): Promise<InteractiveEnd> {
  const { escape, notice } = options;
  const done = deferred<InteractiveEnd>();
  const modes = createScreenModes();
  const escapes = createEscapes(escape);
  const keys = keysFor(started.stdin);
  const size = followSize(started, terminalSize);
  const terminal = rawTerminal(modes.undo);

  const say = (text: string) => {
    process.stderr.write(`\r\n${printable(text).replaceAll("\n", "\r\n")}\r\n`);
  };

  let leaving = false;
  const leave = () => {
    if (leaving) return done.resolve({ kind: "abandoned" });
    leaving = true;
    const limitMs = notice.broken() ? LEAVE_BROKEN_LIMIT_MS : LEAVE_LIMIT_MS;
    setTimeout(() => done.resolve({ kind: "abandoned" }), limitMs);
    hangUp(started).catch(() => done.resolve({ kind: "abandoned" }));
  };
  const suspend = () => {
    terminal.pause();
    stopOurselves();
  };
  const resume = () => {
    terminal.resume();
    size.redraw();
  };

  const obey: Readonly<Record<EscapeCommand, () => void>> = {
    leave,
    suspend,
    help: () => say(helpText(escape, options.detachable)),
    detach() {
      if (options.detachable) done.resolve({ kind: "detached" });
      else say("This one cannot go on without us: it is not in a session of a server.");
    },
  };

  const show = async () => {
    let seq: number | undefined;
    for await (const event of started.events({ skipGaps: true })) {
      // What is missing is missing on the screen, too: the program paints it again.
      if (seq !== undefined && event.seq > seq + 1) size.redraw();
      seq = event.seq;
      if (event.type !== "output") continue;
      modes.see(event.bytes);
      await written(process.stdout, event.bytes);
    }
    done.resolve({ kind: "exited", exit: await started.wait() });
  };
  const type = async () => {
    const input: AsyncIterable<unknown> = process.stdin;
    for await (const chunk of input) {
      if (!(chunk instanceof Uint8Array)) continue;
      for (const typed of escapes.feed(chunk)) {
        if (typeof typed === "string") obey[typed]();
        else await keys.push(typed);
      }
    }
    leave(); // the terminal is gone
  };

  const unread = () => {
    done.resolve({ kind: "unread" });
    started.terminate().catch(() => {});
  };
  process.stdout.on("error", unread);
  process.stderr.on("error", unread);
  const stop = [
    onResize(size.changed),
    onSignals({
      SIGINT: () => passOn(started, "interrupt"),
      SIGQUIT: () => passOn(started, "SIGQUIT"),
      SIGUSR1: () => passOn(started, "SIGUSR1"),
      SIGUSR2: () => passOn(started, "SIGUSR2"),
      SIGTERM: leave,
      SIGHUP: leave,
      SIGTSTP: suspend,
      SIGCONT: resume,
    }),
    notice.listen({
      broken(reason) {
        const way = escape === undefined ? "" : ` ${characterName(escape)}. leaves.`;
        say(`exec-server: the connection is broken (${reason}); trying to get it back.${way}`);
      },
      back() {
        say("exec-server: connected again");
        size.redraw(); // what we said is on the program's screen
      },
    }),
  ];
  let ended = false;
  let byItself = false;
  try {
    if (options.redraw) size.redraw();
    else size.changed(); // it may have changed since the start
    show().catch(done.reject);
    type().catch(leave);
    const end = await done.promise;
    ended = end.kind === "exited";
    byItself = end.kind === "exited" && end.exit.signal === undefined && !leaving;
    return end;
  } finally {
    for (const each of stop) each();
    if (!byItself) await Promise.race([written(process.stdout, modes.undo()), delay(UNDO_LIMIT_MS)]);
    if (!ended && isatty(2)) process.stderr.write("\r\n"); // what is said next begins a line
    terminal.restore();
  }
}

/** As when a terminal's window is closed: shells save their history and end, and so does what they run. */
async function hangUp(started: Process): Promise<void> {
  const once = () => passOn(started, "SIGHUP");
  once();
  // A shell that was just about to wait for keys notices the first one only at the next key (seen with bash 5.2).
  const again = setInterval(once, HANG_UP_AGAIN_MS);
  await endForGood(started, HANG_UP_GRACE_MS).finally(() => clearInterval(again));
}

function helpText(escape: number | undefined, detachable: boolean): string {
  if (escape === undefined) return "";
  const name = characterName(escape);
  return [
    "At the beginning of a line:",
    `  ${name}.  leave: end the program and everything that came of it`,
    ...(detachable ? [`  ${name}d  detach: leave it running`] : []),
    `  ${name}^Z suspend exec-server; the program goes on`,
    `  ${name}?  this help`,
    `  ${name}${name}  type ${name}`,
  ].join("\n");
}
