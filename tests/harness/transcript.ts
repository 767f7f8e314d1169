import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { isObject, type JsonObject } from "./wire_client.ts";

const Recorded = v.object({ case: v.string(), send: v.array(v.unknown()), recv: v.array(v.unknown()) });

/** One exchange with the original server: what was sent, and what came back, in wire order. */
export type Recorded = v.InferOutput<typeof Recorded>;

/** The recorded exchanges of tests/fixtures/transcripts.jsonl. */
export function loadTranscripts(): Recorded[] {
  const text = readFileSync(new URL("../fixtures/transcripts.jsonl", import.meta.url), "utf8");
  return text.trim().split("\n").map((line) => v.parse(Recorded, JSON.parse(line)));
}

/** What one process was seen to do, however its output was cut into chunks. */
export interface ProcessView {
  stdout: string;
  stderr: string;
  pty: string;
  exitCode: unknown;
  sandboxDenied: unknown;
  closed: number;
}

/** What a fair comparison looks at: the answers in their order, and what each process did. */
export interface View {
  answers: unknown[];
  processes: Record<string, ProcessView>;
}

/** What our server adds to every environment (scripts/docs/compatibility.md tells of it). */
const MARK = /^EXEC_SERVER_PROCESS=.*\n/m;

/** Reduces messages (and markers like `$close`) to their {@link View}. */
export function viewOf(messages: readonly unknown[]): View {
  const view: View = { answers: [], processes: {} };
  const output = new Map<string, Buffer[]>();
  for (const message of messages) {
    const params = isObject(message) && message["params"];
    if (!isObject(message) || typeof message["method"] !== "string" || "id" in message || !isObject(params)) {
      view.answers.push(message);
      continue;
    }
    const id = String(params["processId"]);
    const seen = view.processes[id] ??= {
      stdout: "",
      stderr: "",
      pty: "",
      exitCode: null,
      sandboxDenied: null,
      closed: 0,
    };
    if (message["method"] === "process/output") {
      const key = `${params["stream"]} ${id}`;
      output.set(key, [...(output.get(key) ?? []), Buffer.from(String(params["chunk"]), "base64")]);
    } else if (message["method"] === "process/exited") {
      seen.exitCode = params["exitCode"];
      seen.sandboxDenied = params["sandboxDenied"];
    } else if (message["method"] === "process/closed") {
      seen.closed++;
    } else {
      view.answers.push(message);
    }
  }
  for (const [id, seen] of Object.entries(view.processes)) {
    for (const stream of ["stdout", "stderr", "pty"] as const) {
      seen[stream] = Buffer.concat(output.get(`${stream} ${id}`) ?? []).toString("latin1").replace(
        MARK,
        "",
      );
    }
  }
  return view;
}

/** True when everything that `expected` says of a process has happened. */
export function hasHappened(expected: ProcessView, seen: ProcessView | undefined): boolean {
  if (seen === undefined) return false;
  const streams = ["stdout", "stderr", "pty"] as const;
  return streams.every((s) => seen[s].length >= expected[s].length) && seen.closed >= expected.closed &&
    (expected.exitCode === null || seen.exitCode !== null);
}

/** What a process did, without what it did later than `end` tells of. */
export function startOf(seen: ProcessView, end: ProcessView): ProcessView {
  return {
    stdout: seen.stdout.slice(0, end.stdout.length),
    stderr: seen.stderr.slice(0, end.stderr.length),
    pty: seen.pty.slice(0, end.pty.length),
    exitCode: end.exitCode === null ? null : seen.exitCode,
    sandboxDenied: end.exitCode === null ? null : seen.sandboxDenied,
    closed: 0,
  };
}

/** The process that a request or notification speaks of. */
export function processIdOf(message: JsonObject): string | undefined {
  const params = message["params"];
  const id = isObject(params) ? params["processId"] : undefined;
  return typeof id === "string" ? id : undefined;
}
