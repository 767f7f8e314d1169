/** Background programs under Bun: its `node:child_process` takes 12 ms to load, and writes only after the turn. */
import { closeSync, openSync, writeSync } from "node:fs";
import type { Background, BackgroundOptions } from "./background.ts";
import { bun } from "./bun.ts";
import { ownedChildren } from "./owned_children.ts";
import { openPipe, setNonBlocking } from "./pipe_bun.ts";

/** Starts a program in the background. */
export function spawnBackgroundBun({ file, args, env }: BackgroundOptions): Background {
  const { readEnd, writeEnd } = openPipe();
  const nowhere = openSync("/dev/null", "r+");
  try {
    const child = bun.spawn({
      cmd: [file, ...args],
      argv0: file,
      cwd: "/",
      env: { ...env },
      detached: true,
      stdio: [readEnd, nowhere, nowhere],
    });
    ownedChildren.add(child.pid);
    if ("unref" in child && typeof child.unref === "function") child.unref();
    setNonBlocking(writeEnd); // whoever does not read must not hold us up
    let open = true;
    const say = (text: string) => {
      try {
        return open && writeSync(writeEnd, text) === text.length;
      } catch {
        return false; // EPIPE, EAGAIN
      }
    };
    const close = () => {
      if (open) closeSync(writeEnd);
      open = false;
    };
    const exited = child.exited.then(() => {
      ownedChildren.delete(child.pid);
      close();
    });
    return {
      pid: child.pid,
      exited,
      say,
      end(text) {
        say(text);
        close();
      },
    };
  } catch (error) {
    closeSync(writeEnd);
    throw error;
  } finally {
    closeSync(readEnd);
    closeSync(nowhere);
  }
}
