/** What a client learns about the server's machine (protocol reference, section 9). */
import * as v from "valibot";
import { unitMethod } from "./method.ts";

/** `environment/info`, and `environmentInfo` of the `initialize` result. Paths are `file:` URIs. */
export const EnvironmentInfoSchema = v.object({
  shell: v.object({ name: v.string(), path: v.string() }),
  executorVersion: v.nullish(v.string()),
  providerId: v.nullish(v.string()),
  cwd: v.nullish(v.string()),
  userHomeDir: v.nullish(v.string()),
  platformOs: v.nullish(v.string()),
  prependPathDirs: v.optional(v.array(v.string()), []),
  temporaryDirectories: v.nullish(v.array(v.string())),
  tempDir: v.nullish(v.string()),
  capabilities: v.optional(v.record(v.string(), v.boolean()), {}),
});

/** Facts about the machine the server runs on. */
export const EnvironmentInfoMethod = unitMethod(
  "environment/info",
  "environment info",
  EnvironmentInfoSchema,
);

/** `ready` once the handshake is done. */
export const EnvironmentStatusMethod = unitMethod(
  "environment/status",
  "environment status",
  v.object({ status: v.string() }),
);
