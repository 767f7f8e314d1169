/** `serve --max-…` and `--handshake-timeout`. */
import { DEFAULT_LIMITS, type Limits } from "../server/limits.ts";
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";
import { UsageError } from "./exit.ts";
import { countOption, millisecondsOption, type Options, sizeOption, switchOption } from "./options.ts";

/** More of anything than a machine can have. */
const MOST = 1_000_000;
/** Shorter handshakes fail over slow networks, in ms. */
const LEAST_HANDSHAKE_MS = 100;

/** What they say. @throws UsageError when a value is out of range */
export function serverLimits(options: Options): Limits {
  const count = (name: string, otherwise: number) => countOption(options, name, 1, MOST, otherwise);
  const messageBytes = sizeOption(options, "max-message", DEFAULT_LIMITS.messageBytes);
  if (messageBytes > MAX_MESSAGE_BYTES) {
    throw new UsageError("--max-message is at most 64M: no client sends more");
  }
  return {
    connections: count("max-connections", DEFAULT_LIMITS.connections),
    handshakeMs: millisecondsOption(options, "handshake-timeout", LEAST_HANDSHAKE_MS) ??
      DEFAULT_LIMITS.handshakeMs,
    messageBytes,
    boundIncoming: switchOption(options, "bound-incoming"),
    sessions: count("max-sessions", DEFAULT_LIMITS.sessions),
    processes: count("max-processes", DEFAULT_LIMITS.processes),
    sessionProcesses: count("max-session-processes", DEFAULT_LIMITS.sessionProcesses),
    fileHandles: count("max-file-handles", DEFAULT_LIMITS.fileHandles),
    observations: count("max-observations", DEFAULT_LIMITS.observations),
  };
}
