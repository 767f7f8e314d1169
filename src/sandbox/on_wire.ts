/** A caller's sandbox as requests carry it. */
import * as v from "valibot";
import { pathUri } from "../files/native_path.ts";
import { invalidParams } from "../protocol/error.ts";
import { type SandboxContext, sandboxContext } from "../protocol/sandbox.ts";
import { PROTECTED_NAMES } from "./protected_names.ts";
import type { Sandbox } from "./trait.ts";

/** The `sandbox` member of a request. */
export type WireSandbox = v.InferInput<typeof sandboxContext>;

/**
 * As it goes over the wire.
 * @param cwd where a process starts, the default of the roots
 * @throws ExecServerError `INVALID_PARAMS` for a mode that is none, or roots that do not fit; `INVALID_REQUEST` for a
 * path that is not absolute
 */
export function sandboxOnWire(sandbox: Sandbox, cwd?: string | URL): WireSandbox {
  const entries = [
    { path: { type: "special", value: { kind: "root" } }, access: "read" },
    ...rootsOf(sandbox, cwd).flatMap((root) => [
      entry(root, "write"),
      ...PROTECTED_NAMES.map((name) => ({
        ...entry(`${root.replace(/\/$/, "")}/${name}`, "read"),
        missing_path_behavior: "skip",
      })),
    ]),
    ...(sandbox.denied ?? []).map((path) => entry(pathUri(path), "deny")),
    ...(sandbox.deniedPatterns ?? []).map((pattern) => ({
      path: { type: "glob_pattern", pattern },
      access: "deny",
    })),
  ];
  return {
    permissions: {
      type: "managed",
      file_system: { type: "restricted", entries },
      network: sandbox.network === true ? "enabled" : "restricted",
    },
    cwd: cwd === undefined ? null : pathUri(cwd),
    windowsSandboxLevel: "disabled",
  };
}

/** The same as a handler gets it, for requests that take no wire. @throws ExecServerError as {@link sandboxOnWire} */
export function sandboxAsDecoded(sandbox: Sandbox, cwd?: string | URL): SandboxContext {
  const parsed = v.safeParse(sandboxContext, sandboxOnWire(sandbox, cwd), { abortEarly: true });
  if (parsed.success) return parsed.output;
  throw invalidParams(parsed.issues[0].message);
}

function rootsOf({ mode, roots }: Sandbox, cwd: string | URL | undefined): string[] {
  if (mode === "read-only") {
    if (roots && roots.length > 0) throw invalidParams("sandbox.roots needs the mode `workspace-write`");
    return [];
  }
  if (mode !== "workspace-write") {
    throw invalidParams("sandbox.mode must be `read-only` or `workspace-write`");
  }
  if (roots) return roots.map(pathUri);
  const own = cwd === undefined ? "file:///" : pathUri(cwd);
  // Nobody means the whole disk by saying nothing.
  if (new URL(own).pathname === "/") {
    throw invalidParams("the sandbox needs roots: name the directories that may be written to");
  }
  return [own];
}

function entry(uri: string, access: string) {
  return { path: { type: "path", path: uri }, access };
}
