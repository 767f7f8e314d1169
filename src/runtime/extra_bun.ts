/** Descriptors beside the first three, for children under Bun. */
import { closeSync } from "node:fs";
import { libc } from "./bun.ts";
import type { ExtraDescriptors, ExtraEnds } from "./child.ts";
import { openPipe, pipeSink, pipeSource } from "./pipe_bun.ts";

const F_DUPFD_CLOEXEC = 1030; // Linux, all architectures
/** Above every number that a child gets: else one dup2(2) of the start would overwrite the source of the next. */
const ABOVE_TARGETS = 32;

/** Extra descriptors that are open on both sides. */
export interface OpenExtra {
  /** What becomes 3, 4 … in the child. */
  readonly childEnds: readonly number[];
  /** The child has its copies: closes {@link childEnds}. Our ends are handed over. */
  started(): ExtraEnds;
  /** Closes everything. */
  discard(): void;
}

/** Opens them. @throws an error with the code EMFILE */
export function openExtra(extra: ExtraDescriptors): OpenExtra {
  const childEnds: number[] = [];
  const outputs: number[] = [];
  const inputs: number[] = [];
  const high = (fd: number) => {
    const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, ABOVE_TARGETS);
    if (copy < 0) throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
    childEnds.push(copy);
  };
  const discard = () => {
    for (const fd of [...childEnds, ...outputs, ...inputs]) closeSync(fd);
  };
  try {
    for (const fd of extra.files) high(fd);
    for (let count = 0; count < extra.outputs; count++) {
      const { readEnd, writeEnd } = openPipe();
      outputs.push(readEnd);
      moveUp(writeEnd, high);
    }
    for (let count = 0; count < extra.inputs; count++) {
      const { readEnd, writeEnd } = openPipe();
      inputs.push(writeEnd);
      moveUp(readEnd, high);
    }
  } catch (error) {
    discard();
    throw error;
  }
  return {
    childEnds,
    started() {
      for (const fd of childEnds) closeSync(fd);
      return { outputs: outputs.map(pipeSource), inputs: inputs.map(pipeSink) };
    },
    discard,
  };
}

function moveUp(fd: number, high: (fd: number) => void): void {
  try {
    high(fd);
  } finally {
    closeSync(fd);
  }
}
