/** Makes a process's streams, signals and exit code ours. */
import process from "node:process";
import type { Writable } from "node:stream";
import { complain, explain } from "./exit.ts";
import type { Process } from "../process/trait.ts";

/** What a program gets that writes to a pipe nobody reads: 128 + SIGPIPE. */
const BROKEN_PIPE_EXIT_CODE = 141;

/** Copies a process's output to ours and, if wanted, our input to it; resolves with its exit code. */
export async function relay(started: Process, forwardStdin: boolean): Promise<number> {
  let broken = false;
  const onBrokenPipe = () => {
    broken = true;
    void started.terminate().catch(() => {});
  };
  const stopSignals = forwardSignals(started);
  const copies = Promise.all([
    copy(started.stdout, process.stdout, onBrokenPipe),
    copy(started.stderr, process.stderr, onBrokenPipe),
  ]);
  if (forwardStdin) void feed(started);
  try {
    await copies;
    const { exitCode } = await started.wait();
    return broken ? BROKEN_PIPE_EXIT_CODE : exitCode;
  } finally {
    stopSignals();
  }
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
    await new Promise<void>((resolve) => to.write(bytes, () => resolve()));
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

/** Ctrl-C goes to the command; a second one kills it. TERM and HUP kill it. */
function forwardSignals(started: Process): () => void {
  let interrupts = 0;
  const interrupt = () => {
    const sent = ++interrupts === 1 ? started.signal("interrupt") : started.terminate();
    sent.catch(() => {});
  };
  const end = () => void started.terminate().catch(() => {});
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", end);
  process.on("SIGHUP", end);
  return () => {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", end);
    process.off("SIGHUP", end);
  };
}
