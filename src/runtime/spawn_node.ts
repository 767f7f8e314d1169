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
import { streamSource } from "./stream_source_node.ts";

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
    stdout: pipeSource(output?.stream ?? child.stdout),
    stderr: pipeSource(errors?.stream ?? child.stderr),
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
    outputs: ends.slice(0, extra.outputs).map((end) => pipeSource(end && "read" in end ? end : null)),
    inputs: ends.slice(extra.outputs).map((end) => {
      if (!end || !("write" in end)) throw new Error("unreachable: the child was started with pipes");
      return streamSink(end);
    }),
  };
}

function pipeSource(stream: Readable | null): ByteSource {
  if (!stream) throw new Error("unreachable: the child was started with pipes");
  return streamSource(stream);
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
