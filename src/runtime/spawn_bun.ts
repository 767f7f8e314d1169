/** Children under Bun (the compiled executable): `Bun.spawn` with our own pipes. */
import { closeSync } from "node:fs";
import { bun } from "./bun.ts";
import type { Child, ChildExit, SpawnOptions } from "./child.ts";
import { ownedChildren } from "./owned_children.ts";
import { type OpenExtra, openExtra } from "./extra_bun.ts";
import { openPipe, pipeSink, pipeSource } from "./pipe_bun.ts";

/** Starts a child. @throws an error with a POSIX code */
export function spawnBun(options: SpawnOptions): Child {
  const opened: number[] = [];
  let extra: OpenExtra | undefined;
  const pipe = () => {
    const made = openPipe();
    opened.push(made.readEnd, made.writeEnd);
    return made;
  };
  try {
    const input = options.stdin ? pipe() : undefined;
    const output = pipe();
    const errors = pipe();
    if (options.extra) extra = openExtra(options.extra);
    const child = bun.spawn({
      cmd: [options.file, ...options.argv.slice(1)],
      argv0: options.argv[0] ?? options.file,
      cwd: options.cwd,
      env: { ...options.env },
      detached: true, // setsid(2): a session and a process group of its own
      stdio: [input?.readEnd ?? "ignore", output.writeEnd, errors.writeEnd, ...extra?.childEnds ?? []],
    });
    ownedChildren.add(child.pid);
    // The child has its copies; ours would keep the pipes from ever ending.
    closeSync(output.writeEnd);
    closeSync(errors.writeEnd);
    if (input) closeSync(input.readEnd);
    return {
      pid: child.pid,
      stdin: input ? pipeSink(input.writeEnd) : null,
      stdout: pipeSource(output.readEnd),
      stderr: pipeSource(errors.readEnd),
      extra: extra?.started(),
      exited: child.exited.then((status): ChildExit => {
        ownedChildren.delete(child.pid);
        // `signalCode` is a name, which not every signal has; what it resolves to is 128 + the number then.
        return child.signalCode === null
          ? { code: child.exitCode, signal: null }
          : { code: null, signal: status - 128 };
      }),
    };
  } catch (error) {
    for (const fd of opened) closeSync(fd);
    extra?.discard();
    throw error;
  }
}
