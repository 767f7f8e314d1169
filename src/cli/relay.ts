/** Makes a process's streams, signals and exit code ours. */
import process from "node:process";
import type { Writable } from "node:stream";
import type { Process } from "../process/trait.ts";
import { complain, ExitCode, exitCodeOf, explain } from "./exit.ts";
import { forwardSignals } from "./signals.ts";
import { written } from "./written.ts";

/** What becomes the process's input: ours, nothing at all, or its end at once. */
export type Input = "ours" | "none" | "end";

/** Copies a process's output to ours and, if wanted, our input to it; resolves with its exit code. */
export async function relay(started: Process, input: Input): Promise<number> {
  let broken = false;
  const onBrokenPipe = () => {
    broken = true;
    void started.terminate().catch(() => {});
  };
  const stopSignals = forwardSignals(started);
  const copies = copyOutput(started, onBrokenPipe);
  if (input === "ours") void feed(started);
  else if (input === "end") started.stdin.close().catch(() => {});
  try {
    await copies;
    const exit = await started.wait();
    return broken ? ExitCode.brokenPipe : exitCodeOf(exit);
  } finally {
    stopSignals();
  }
}

/** Copies both streams to ours. @param onBrokenPipe nobody reads ours any more */
export async function copyOutput(started: Process, onBrokenPipe: () => void): Promise<void> {
  await Promise.all([
    copy(started.stdout, process.stdout, onBrokenPipe),
    copy(started.stderr, process.stderr, onBrokenPipe),
  ]);
}

async function copy(from: ReadableStream<Uint8Array>, to: Writable, onBrokenPipe: () => void): Promise<void> {
  let broken = false;
  to.on("error", () => {
    if (broken) return;
    broken = true;
    onBrokenPipe();
  });
  for await (const bytes of from) {
    if (broken) continue; // what is left must still be taken, so that the process can end
    await written(to, bytes);
  }
}

/** Reading descriptor 0 as a file would fail with EAGAIN when whoever shares the pipe has made it non-blocking. */
async function feed(started: Process): Promise<void> {
  const writer = started.stdin.getWriter();
  const input: AsyncIterable<unknown> = process.stdin;
  try {
    for await (const chunk of input) {
      if (!(chunk instanceof Uint8Array)) continue;
      // A command need not read its input to its end.
      if (!await writer.write(chunk).then(() => true, () => false)) return;
    }
  } catch (error) {
    complain(`standard input: ${explain(error)}`);
  }
  await writer.close().catch(() => {});
}
