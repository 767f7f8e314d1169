/** What a scenario is, and the words that its checks are made of. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { ToolCall } from "./model.ts";
import type { Proxy } from "./proxy.ts";
import type { WireMessage } from "./wire_message.ts";

/** What is there to be checked when the client has ended. */
export interface Evidence {
  /** What the model was told, one text a call. */
  readonly outputs: readonly string[];
  /** What went over the wire. */
  readonly messages: readonly WireMessage[];
  /** The working folder. */
  readonly workspace: string;
}

/** One conversation with the client. */
export interface Scenario {
  readonly name: string;
  readonly calls: readonly ToolCall[];
  /** In the client's sandbox `workspace-write`. Default false: in none. */
  readonly sandboxed?: boolean;
  /** Makes the working folder ready. */
  prepare?(workspace: string): void;
  /** Tells the proxy when to do harm. */
  disturb?(proxy: Proxy): void;
  /** Resolves with the details that are worth a line. @throws what is wrong */
  check(evidence: Evidence): string;
}

/** `exec_command` with the client's longest patience, so that one call sees the end of the command. */
export function command(cmd: string, more: Record<string, unknown> = {}): ToolCall {
  return { tool: "exec_command", arguments: { cmd, yield_time_ms: 30_000, ...more } };
}

/** @throws with what was there when it is not as expected */
export function expect(holds: boolean, what: string, seen: unknown): void {
  if (holds) return;
  const text = typeof seen === "string"
    ? seen
    : Buffer.isBuffer(seen)
    ? seen.toString()
    : JSON.stringify(seen);
  throw new Error(`expected ${what}; seen: ${JSON.stringify(text?.slice(0, 600))}`);
}

/** The output of a call. @throws when the client never answered it */
export function outputAt(evidence: Evidence, index: number): string {
  const output = evidence.outputs[index];
  if (output === undefined) throw new Error(`the model got no answer to call ${index + 1}`);
  return output;
}

/** The exit code that the model was told. */
export function exitCodeIn(output: string): number | undefined {
  const code = /Process exited with code (-?\d+)/.exec(output)?.[1];
  return code === undefined ? undefined : Number(code);
}

/** What `seq 1 COUNT` prints. */
export function numbers(count: number): string {
  return Array.from({ length: count }, (_, i) => `${i + 1}\n`).join("");
}

/** As `sha256sum` prints it. */
export function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
