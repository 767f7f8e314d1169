/** What a client asks for, in our own words: native paths, one kind of entry, nothing that depends on the disk. */
import { Buffer } from "node:buffer";
import { posix } from "node:path";
import { ExecServerError, invalidParams } from "../protocol/error.ts";
import type { EntryPath, SandboxContext } from "../protocol/sandbox.ts";
import { clip } from "../protocol/quote.ts";
import { nativePathText } from "../files/native_path.ts";
import type { Access } from "./rules.ts";

/** What an entry is about. */
export type Place =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "glob"; readonly pattern: string; readonly below: "cwd" | "roots" | undefined }
  | { readonly kind: "roots"; readonly subpath: string }
  | { readonly kind: "root" | "minimal" | "temporary" | "slash-tmp" };

/** One line of a policy. */
export interface PolicyEntry {
  readonly place: Place;
  readonly access: Access;
  /** Nothing happens when the path does not exist. */
  readonly skipMissing: boolean;
}

/** A policy as it was asked for. Paths are absolute and native, not yet looked up. */
export interface Policy {
  readonly entries: readonly PolicyEntry[];
  readonly network: boolean;
  /** What `cwd` and relative patterns mean in this policy; not where the process starts. */
  readonly cwd: string | undefined;
  readonly roots: readonly string[];
  /** Undefined: the server's own. */
  readonly temporaryDirectories: readonly string[] | undefined;
  /** How deep patterns look, where the policy says. */
  readonly globDepth: number | undefined;
}

/** How Codex writes a pattern below each workspace root. */
const ROOTS_PREFIX = "codex-project-roots://";

/**
 * The policy of a request; undefined when it asks for no sandbox: none, `disabled`, or `external`, by which the
 * client says that something else is the sandbox. Only the server's floor can narrow that.
 * @throws ExecServerError `INVALID_PARAMS` for what makes no sense or could not be enforced as it is meant
 */
export function policyOf(asked: SandboxContext | null | undefined): Policy | undefined {
  if (asked === null || asked === undefined) return undefined;
  if (asked.useLegacyLandlock === true) {
    throw invalidParams("useLegacyLandlock is not supported, it cannot hold this policy: leave it out");
  }
  const { permissions } = asked;
  if (permissions.type !== "managed") return undefined;
  const files = permissions.file_system;
  const context = asked.policyContext ?? asked;
  const cwd = context.cwd ? nativeParam(context.cwd) : undefined;
  const named = (context.workspaceRoots ?? []).map(nativeParam);
  const entries: readonly PolicyEntry[] = files.type === "unrestricted"
    ? [{ place: { kind: "root" }, access: "write", skipMissing: false }]
    : files.entries.flatMap((entry) =>
      entryOf(entry.path, entry.access, entry.missing_path_behavior === "skip")
    );
  const policy: Policy = {
    entries,
    network: permissions.network === "enabled",
    cwd,
    roots: named.length > 0 || cwd === undefined ? named : [cwd],
    temporaryDirectories: asked.temporaryDirectories?.map(nativeParam),
    globDepth: files.type === "restricted" ? files.glob_scan_max_depth ?? undefined : undefined,
  };
  requireContext(policy);
  return policy;
}

function entryOf(path: EntryPath, access: Access, skipMissing: boolean): PolicyEntry[] {
  if (path.type === "path") {
    return [{ place: { kind: "path", path: nativeParam(path.path) }, access, skipMissing }];
  }
  if (path.type === "glob_pattern") {
    if (access !== "deny") throw invalidParams("a glob pattern can only deny");
    return [{ place: globPlace(path.pattern), access, skipMissing }];
  }
  const { value } = path;
  switch (value.kind) {
    case "root":
      return [{ place: { kind: "root" }, access, skipMissing }];
    case "minimal":
      if (access !== "read") throw invalidParams(`\`minimal\` can only be read, not ${access}`);
      return [{ place: { kind: "minimal" }, access, skipMissing: true }];
    case "tmpdir":
      return [{ place: { kind: "temporary" }, access, skipMissing: true }];
    case "slash_tmp":
      return [{ place: { kind: "slash-tmp" }, access, skipMissing: true }];
    case "project_roots":
    case "current_working_directory":
      return [{ place: { kind: "roots", subpath: subpathOf(value.subpath ?? "") }, access, skipMissing }];
    case "unknown":
      // What is not understood may be left out when it grants; left out when it denies, it would grant.
      if (access === "deny") {
        throw invalidParams("a special path that is not known cannot be denied: name its path");
      }
      return [];
  }
}

function globPlace(pattern: string): Place {
  if (pattern === "") throw invalidParams("a glob pattern must not be empty");
  if (pattern.startsWith(ROOTS_PREFIX)) {
    return { kind: "glob", pattern: pattern.slice(ROOTS_PREFIX.length), below: "roots" };
  }
  return { kind: "glob", pattern, below: pattern.startsWith("/") ? undefined : "cwd" };
}

function subpathOf(text: string): string {
  if (text.startsWith("/") || text.split("/").includes("..")) {
    throw invalidParams(`subpath \`${clip(text)}\` must stay below its root`);
  }
  const normal = posix.normalize(text).replace(/\/$/, "");
  return normal === "." ? "" : normal;
}

/** Where no folder says what they mean, such entries would silently do nothing. */
function requireContext({ entries, cwd, roots }: Policy): void {
  for (const { place } of entries) {
    const below = place.kind === "roots" ? "roots" : place.kind === "glob" ? place.below : undefined;
    if (below === "roots" && roots.length === 0) {
      throw invalidParams("`project_roots` takes `cwd` or `workspaceRoots` in the sandbox: give one of them");
    }
    if (below === "cwd" && cwd === undefined) {
      throw invalidParams(
        "a relative glob pattern takes `cwd` in the sandbox: give it, or an absolute pattern",
      );
    }
  }
}

/** The native path of a URI that is a parameter. */
function nativeParam(uri: URL): string {
  try {
    const path = nativePathText(uri);
    // bwrap takes its arguments as texts: bytes would name another file.
    if (Buffer.from(path).toString() === path) return path;
  } catch (error) {
    if (error instanceof ExecServerError) throw invalidParams(error.message);
    throw error;
  }
  throw invalidParams(`\`${clip(uri.href)}\` is not UTF-8`);
}
