/** Terminals under Bun (the compiled executable): `Bun.spawn({ terminal })` cannot be paused, so libc makes them. */
import { closeSync, writeSync } from "node:fs";
import type { ByteSource } from "./child.ts";
import { type OpenExtra, openExtra } from "./extra_bun.ts";
import { descriptorSource } from "./pipe_bun.ts";
import { openPty, setSize, unreadInput } from "./pty_bun.ts";
import { spawnOn } from "./pty_spawn_bun.ts";
import type { TerminalChild, TerminalInput, TerminalOptions } from "./terminal.ts";
import { codedError, errorCode } from "./coded_error.ts";
import { startAndReap } from "./terminal_exit_bun.ts";
import { terminalSink } from "./terminal_sink.ts";

/** Of a terminal that is gone. */
const NOTHING: TerminalInput = { some: false, byLine: true };

/** Starts a child on a new terminal. @throws an error with a POSIX code, or with UNSUPPORTED */
export function spawnTerminalBun(options: TerminalOptions): TerminalChild {
  const { master, slave, path } = openPty(options.size);
  let open = true;
  const input = terminalSink((bytes) => open ? take(master, bytes) : gone());
  let output: ByteSource | undefined;
  let extra: OpenExtra | undefined;
  try {
    // Before the start: it needs a descriptor of its own, and there may be none left.
    output = descriptorSource(master, {
      endsWithError: true, // EIO: nobody has the terminal open any more, and everything has been read
      closed() {
        open = false;
        input.destroy();
      },
    });
    if (options.extra) extra = openExtra(options.extra);
    const childEnds = extra?.childEnds;
    const { pid, exited } = startAndReap(() => spawnOn(path, options, childEnds));
    // Held until the exit: else the master reports the end while a child has closed all of its descriptors for now.
    let held = true;
    exited.then(() => {
      held = false;
      closeSync(slave);
    });
    return {
      pid,
      input,
      output,
      extra: extra?.started(),
      exited,
      unread: () => held ? unreadInput(slave) : NOTHING,
      resize: (size) => {
        if (open) setSize(master, size);
      },
    };
  } catch (error) {
    closeSync(slave);
    extra?.discard();
    if (output) output.close();
    else closeSync(master);
    throw error;
  }
}

function take(master: number, bytes: Uint8Array): number {
  try {
    return writeSync(master, bytes);
  } catch (error) {
    if (errorCode(error) === "EAGAIN") return 0;
    return gone();
  }
}

function gone(): never {
  throw codedError("EPIPE", "the terminal is gone");
}
