/** Answers `environment/*`, and makes the `environmentInfo` of the handshake. */
import process from "node:process";
import type * as v from "valibot";
import {
  EnvironmentInfoMethod,
  type EnvironmentInfoSchema,
  EnvironmentStatusMethod,
} from "../protocol/environment.ts";
import { formatPathUri } from "../protocol/path_uri.ts";
import { type Route, route } from "../rpc/route.ts";
import type { EnvironmentInfo, Info } from "./trait.ts";

/** The facts as the wire writes them. */
export function wireInfo(info: EnvironmentInfo): v.InferInput<typeof EnvironmentInfoSchema> {
  const uri = (path: string | undefined) => path === undefined ? null : formatPathUri(path);
  const temporary = process.env["TMPDIR"];
  return {
    shell: { ...info.shell },
    executorVersion: info.version ?? null,
    cwd: uri(info.cwd),
    userHomeDir: uri(info.homeDirectory),
    platformOs: info.os ?? null,
    prependPathDirs: [],
    temporaryDirectories: temporary ? [formatPathUri(temporary)] : [],
    tempDir: uri(info.tempDirectory),
    capabilities: { ...info.capabilities },
  };
}

/** The routes. */
export function infoRoutes(info: Info): Route[] {
  return [
    route(EnvironmentInfoMethod, async () => wireInfo(await info.get()), "control"),
    route(EnvironmentStatusMethod, () => ({ status: "ready" }), "control"),
  ];
}
