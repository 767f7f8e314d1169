/**
 * Children under Node and Deno, through `node:child_process`. Deno gives the child pipes. Node gives it sockets, on
 * which `echo x > /dev/stderr` fails (ENXIO), so there stdout and stderr are FIFOs that are unlinked once open.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import type {
  ByteSink,
  ByteSource,
  Child,
  ChildExit,
  ExtraDescriptors,
  ExtraEnds,
  SpawnOptions,
} from "./child.ts";
import { runtime } from "./detect.ts";
import { type Fifo, takeFifo } from "./fifo_node.ts";

/** Starts a child. @throws an error with a POSIX code */
export async function spawnNode(options: SpawnOptions): Promise<Child> {
  const fifos: Fifo[] = [];
  if (runtime === "node") {
    for (let count = 0; count < 2; count++) {
      const fifo = await takeFifo();
      if (fifo) fifos.push(fifo);
    }
  }
  const [output, errors] = fifos;
  const { extra } = options;
  let child: ChildProcess;
  try {
    child = spawn(options.file, options.argv.slice(1), {
      argv0: options.argv[0] ?? options.file,
      cwd: options.cwd,
      env: { ...options.env },
      detached: true,
      stdio: [
        options.stdin ? "pipe" : "ignore",
        output?.writeEnd ?? "pipe",
        errors?.writeEnd ?? "pipe",
        ...extra?.files ?? [],
        ...Array<"pipe">((extra?.outputs ?? 0) + (extra?.inputs ?? 0)).fill("pipe"),
      ],
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
  } catch (error) {
    for (const fifo of fifos) fifo.stream.destroy();
    throw error;
  } finally {
    for (const fifo of fifos) closeSync(fifo.writeEnd);
  }
  child.on("error", () => {}); // a late error (a failed kill) must not end the server
  if (child.pid === undefined) throw new Error("unreachable: a spawned child has a pid");
  return {
    pid: child.pid,
    stdin: child.stdin ? streamSink(child.stdin) : null,
    stdout: streamSource(output?.stream ?? child.stdout),
    stderr: streamSource(errors?.stream ?? child.stderr),
    extra: extra && extraEnds(child, extra),
    exited: new Promise<ChildExit>((resolve) => {
      child.once("exit", (code, signal) => {
        resolve({ code, signal: signal === null ? null : constants.signals[signal] });
      });
    }),
  };
}

/** Our ends; they are sockets under Node, which whom we start with such descriptors has to bear. */
function extraEnds(child: ChildProcess, extra: ExtraDescriptors): ExtraEnds {
  const first = 3 + extra.files.length;
  const all: readonly (Readable | Writable | null | undefined)[] = child.stdio;
  const ends = Array.from({ length: extra.outputs + extra.inputs }, (_, index) => all[first + index]);
  return {
    outputs: ends.slice(0, extra.outputs).map((end) => streamSource(end && "read" in end ? end : null)),
    inputs: ends.slice(extra.outputs).map((end) => {
      if (!end || !("write" in end)) throw new Error("unreachable: the child was started with pipes");
      return streamSink(end);
    }),
  };
}

/** Reads with `readable` and `read()`: under a `data` listener a child's exit resumes a paused stream and bytes are lost. */
function streamSource(stream: Readable | null): ByteSource {
  if (!stream) throw new Error("unreachable: the child was started with pipes");
  let ended = false;
  let readable = false;
  let wake: (() => void) | undefined;
  const notify = () => {
    const waiting = wake;
    wake = undefined;
    waiting?.();
  };
  stream.on("readable", () => {
    readable = true;
    notify();
  });
  for (const event of ["end", "close", "error"]) {
    stream.on(event, () => {
      ended = true;
      notify();
    });
  }
  return {
    async read() {
      for (;;) {
        const chunk: unknown = stream.read();
        if (chunk instanceof Uint8Array) return chunk;
        readable = false;
        if (ended || stream.destroyed) return null;
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
    mayHaveMore: () => !ended && (readable || wake === undefined || stream.readableLength > 0),
    close() {
      ended = true;
      stream.destroy();
      notify();
    },
  };
}

function streamSink(stream: Writable): ByteSink {
  stream.on("error", () => {}); // EPIPE is reported to the writer below; without a listener it would end the server
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (stream.destroyed) return reject(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
        stream.write(bytes, (error) => error ? reject(error) : resolve());
      }),
    close: () => void stream.end(),
    destroy: () => void stream.destroy(),
  };
}
