/** Runs a sandboxed command to its end, for the probe. Not for processes of clients: nothing streams. */
import { spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { owned } from "../runtime/owned_children.ts";
import { type BubblewrapCommand, DESCRIPTORS } from "./bubblewrap.ts";

/** How a run ended. */
export interface RunResult {
  /** Undefined when it could not be started, or took too long. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** The program was executed: its exit code is in the status. Nothing else tells that. */
  readonly executed: boolean;
  readonly ready: boolean;
}

/** Runs one; never rejects. */
export type Runner = (command: BubblewrapCommand, filter: Uint8Array) => Promise<RunResult>;

/** A start takes 15 ms; on a machine that swaps, seconds. */
const LIMIT_MS = 10_000;
/** What is kept of each stream. */
const MAX_CHARACTERS = 64 * 1024;

/** The runner that is no test's. */
export const runOnce: Runner = (command, filter) =>
  new Promise((resolve) => {
    const [file = "", ...args] = command.argv;
    const child = spawn(file, args, {
      cwd: "/",
      env: {},
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe", "pipe", "pipe"],
      timeout: LIMIT_MS,
      killSignal: "SIGKILL",
    });
    owned(child);
    const texts = { stdout: "", stderr: "", status: "", ready: "" };
    const streams: readonly (Readable | Writable | null | undefined)[] = child.stdio;
    const collect = (name: keyof typeof texts, stream: Readable | Writable | null | undefined) => {
      if (!stream || !("setEncoding" in stream)) return;
      stream.setEncoding("utf8");
      stream.on("error", () => {});
      stream.on("data", (text: string) => {
        if (texts[name].length < MAX_CHARACTERS) texts[name] += text;
      });
    };
    const feed = (stream: Readable | Writable | null | undefined, bytes: Uint8Array) => {
      if (!stream || !("write" in stream)) return;
      stream.on("error", () => {}); // it ended before it read
      stream.end(bytes);
    };
    const result = (code: number | null): RunResult => ({
      code: code ?? undefined,
      stdout: texts.stdout,
      stderr: texts.stderr,
      executed: /"exit-code"\s*:/.test(texts.status),
      ready: texts.ready === "1",
    });
    collect("stdout", child.stdout);
    collect("stderr", child.stderr);
    collect("status", streams[DESCRIPTORS.status]);
    collect("ready", streams[DESCRIPTORS.ready]);
    feed(streams[DESCRIPTORS.options], command.options);
    feed(streams[DESCRIPTORS.seccomp], filter);
    child.once("error", () => resolve(result(null)));
    child.once("close", (code) => resolve(result(code)));
  });
