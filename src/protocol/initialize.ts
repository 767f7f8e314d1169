/** The handshake: `initialize`, then `initialized` (protocol reference, section 7). */
import * as v from "valibot";
import { EnvironmentInfoSchema } from "./environment.ts";
import { method, type Notification } from "./method.ts";
import { flag, map, maybe, struct, text, unsigned } from "./schema.ts";

/** Opens or resumes a session. The first request of every connection. */
export const Initialize = method(
  "initialize",
  "exec",
  "InitializeParams",
  struct("InitializeParams", {
    clientName: text(),
    resumeSessionId: maybe(text()),
    /** Added: the client sends `process/outputAck`, and needs no pings for that. */
    acknowledgesOutput: v.optional(flag(), false),
    /** Added: how long the session may live without a connection, in ms, within the server's limit. */
    sessionTtlMs: maybe(unsigned()),
    /** Added: false refuses (-32010) to resume a session that another connection has. */
    takeOver: v.optional(flag(), true),
    /** Added: the newest version of binary messages that the client speaks; 0: none. */
    binaryFrames: v.optional(unsigned(), 0),
    /** Added, for a resume: the last event the client has of each process; pushing goes on after it. */
    cursors: v.optional(map(unsigned()), {}),
  }),
  v.object({
    sessionId: v.string(),
    environmentInfo: v.nullish(EnvironmentInfoSchema),
    /** Added: what holds for the session, in ms. */
    sessionTtlMs: v.nullish(v.number()),
    /** Added: the version of binary messages that both sides may send on this connection. */
    binaryFrames: v.nullish(v.number()),
  }),
);

/** Ends the handshake; its params are ignored. */
export const Initialized: Notification = { name: "initialized", params: v.unknown() };
