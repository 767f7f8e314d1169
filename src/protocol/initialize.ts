/** The handshake: `initialize`, then `initialized` (protocol reference, section 7). */
import * as v from "valibot";
import { EnvironmentInfoSchema } from "./environment.ts";
import { method, type Notification } from "./method.ts";
import { maybe, struct, text } from "./schema.ts";

/** Opens or resumes a session. The first request of every connection. */
export const Initialize = method(
  "initialize",
  "exec",
  "InitializeParams",
  struct("InitializeParams", { clientName: text(), resumeSessionId: maybe(text()) }),
  v.object({ sessionId: v.string(), environmentInfo: v.nullish(EnvironmentInfoSchema) }),
);

/** Ends the handshake; its params are ignored. */
export const Initialized: Notification = { name: "initialized", params: v.unknown() };
