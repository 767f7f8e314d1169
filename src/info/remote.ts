/** Facts about the machine of a server. */
import { fileURLToPath } from "node:url";
import type * as v from "valibot";
import { EnvironmentInfoMethod, type EnvironmentInfoSchema } from "../protocol/environment.ts";
import type { Caller } from "../rpc/caller.ts";
import type { EnvironmentInfo, Info } from "./trait.ts";

/** @param known what the handshake told; without it the server is asked */
export function remoteInfo(
  caller: Caller,
  known: v.InferOutput<typeof EnvironmentInfoSchema> | null | undefined,
): Info {
  let asked = known ? Promise.resolve(fromWire(known)) : undefined;
  return {
    get() {
      asked ??= caller.call(EnvironmentInfoMethod, null).then(fromWire).catch((error: unknown) => {
        asked = undefined; // a lost connection must not be remembered as the answer
        throw error;
      });
      return asked;
    },
  };
}

function fromWire(info: v.InferOutput<typeof EnvironmentInfoSchema>): EnvironmentInfo {
  return {
    shell: info.shell,
    version: info.executorVersion ?? undefined,
    cwd: path(info.cwd),
    homeDirectory: path(info.userHomeDir),
    tempDirectory: path(info.tempDir),
    os: info.platformOs ?? undefined,
    capabilities: info.capabilities,
  };
}

function path(uri: string | null | undefined): string | undefined {
  return uri === null || uri === undefined ? undefined : fileURLToPath(uri, { windows: false });
}
