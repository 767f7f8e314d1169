/**
 * The `sandbox` member of requests (protocol reference, section 13), with the reference's words for what is wrong.
 *
 * Members that are not known are ignored, but not inside an entry: there, one that is not understood could deny.
 */
import * as v from "valibot";
import { invalidRequest } from "./error.ts";
import { clip } from "./quote.ts";
import { flag, invalidType, list, maybe, pathUri, struct, text, variant } from "./schema.ts";

/** Entries of one policy: real ones have a dozen, and each becomes a mount. */
export const MAX_SANDBOX_ENTRIES = 512;
/** Patterns of one policy: each is a scan of its own. */
export const MAX_SANDBOX_GLOBS = 64;
/** Bytes of a path or a pattern (PATH_MAX of Linux). */
export const MAX_SANDBOX_PATH_BYTES = 4096;
/** Workspace roots and temporary directories of one policy, each. */
export const MAX_SANDBOX_ROOTS = 64;
/** The deepest `glob_scan_max_depth`; a scan without one goes as deep. */
export const MAX_GLOB_SCAN_DEPTH = 64;

/** Any object, null or nothing: its meaning is checked by {@link requireNoSandbox}. */
export const sandbox = () =>
  maybe(v.looseObject({}, "invalid type: expected struct WireFileSystemSandboxContext"));

/**
 * Passes when the request asks for no restriction.
 * @throws ExecServerError `INVALID_REQUEST` (-32600) when a sandbox is asked for: it would not hold
 */
export function requireNoSandbox(asked: Record<string, unknown> | null | undefined): void {
  if (asked === null || asked === undefined) return;
  const permissions = asked["permissions"];
  const disabled = typeof permissions === "object" && permissions !== null && "type" in permissions &&
    permissions.type === "disabled";
  if (!disabled) {
    throw invalidRequest("this server cannot enforce a sandbox: send `sandbox: null` to run without one");
  }
}

const isObject = (input: unknown): input is Record<string, unknown> =>
  typeof input === "object" && input !== null && !Array.isArray(input);

/** Fails with one message. */
const refuse = (message: string) => v.custom<never>(() => false, message);

/** As `variant`, with the reference's words for two: `a` or `b`. */
function choice<const T extends readonly [string, string]>(words: T) {
  return v.picklist(
    words,
    (issue) =>
      typeof issue.input === "string"
        ? `unknown variant \`${clip(issue.input)}\`, expected \`${words[0]}\` or \`${words[1]}\``
        : invalidType(issue.input, "string or map"),
  );
}

function expectedWords(words: readonly string[]): string {
  const quoted = words.map((word) => `\`${word}\``);
  return quoted.length === 2 ? quoted.join(" or ") : `one of ${quoted.join(", ")}`;
}

/** An object whose member `tag` says which of several it is. */
function tagged<T extends v.GenericSchema>(
  tag: string,
  name: string,
  kinds: Readonly<Record<string, T>>,
  other?: T,
) {
  return v.lazy((input): T | ReturnType<typeof refuse> => {
    if (!isObject(input)) {
      const described = typeof input === "number" && Number.isInteger(input)
        ? `invalid type: integer \`${input}\`, expected internally tagged enum ${name}`
        : invalidType(input, `internally tagged enum ${name}`);
      return refuse(described);
    }
    const kind = input[tag];
    if (kind === undefined) return refuse(`missing field \`${tag}\``);
    if (typeof kind !== "string") return refuse(invalidType(kind, "variant identifier"));
    const found = Object.hasOwn(kinds, kind) ? kinds[kind] : other;
    return found ??
      refuse(`unknown variant \`${clip(kind)}\`, expected ${expectedWords(Object.keys(kinds))}`);
  });
}

/** As `struct`, but a member that is not declared is refused. */
function strict<T extends v.ObjectEntries>(name: string, entries: T) {
  return v.strictObject(entries, (issue) => {
    const key = issue.path?.at(-1)?.key;
    if (issue.expected === "never" && typeof key === "string") {
      return `unknown field \`${clip(key)}\`, expected ${expectedWords(Object.keys(entries))}`;
    }
    const missing = issue.input === undefined && typeof key === "string" &&
      issue.expected === JSON.stringify(key);
    return missing ? `missing field \`${key}\`` : invalidType(issue.input, `struct ${name}`);
  });
}

const shortText = () =>
  v.pipe(
    text(),
    v.check(
      (value) => new TextEncoder().encode(value).length <= MAX_SANDBOX_PATH_BYTES && !value.includes("\0"),
      (issue) =>
        issue.input.includes("\0")
          ? "a path must not contain a NUL"
          : `a path is longer than ${MAX_SANDBOX_PATH_BYTES} bytes`,
    ),
  );

const shortPathUri = () =>
  v.pipe(
    pathUri(),
    v.check(
      (url) => decodedBytes(url.pathname) <= MAX_SANDBOX_PATH_BYTES,
      `a path is longer than ${MAX_SANDBOX_PATH_BYTES} bytes`,
    ),
  );

function decodedBytes(pathname: string): number {
  return pathname.length - 2 * (pathname.match(/%[0-9A-Fa-f]{2}/g)?.length ?? 0);
}

const roots = () =>
  v.pipe(list(shortPathUri()), v.maxLength(MAX_SANDBOX_ROOTS, `more than ${MAX_SANDBOX_ROOTS} roots`));

const kindOnly = <const T extends string>(kind: T) =>
  strict("FileSystemSpecialPath", { kind: v.literal(kind) });

/** A place that is known by its role. A role of a later version stays `unknown`; its other members are ignored. */
const specialPath = tagged<v.GenericSchema<unknown, SpecialPath>>(
  "kind",
  "FileSystemSpecialPath",
  {
    root: kindOnly("root"),
    minimal: kindOnly("minimal"),
    tmpdir: kindOnly("tmpdir"),
    slash_tmp: kindOnly("slash_tmp"),
    project_roots: projectRoots("project_roots"),
    current_working_directory: projectRoots("current_working_directory"),
  },
  v.pipe(v.looseObject({}), v.transform((): SpecialPath => ({ kind: "unknown" }))),
);

/** What the special path of an entry is after parsing. */
export type SpecialPath =
  | { kind: "root" | "minimal" | "tmpdir" | "slash_tmp" | "unknown" }
  | { kind: "project_roots" | "current_working_directory"; subpath?: string | null | undefined };

function projectRoots<const T extends "project_roots" | "current_working_directory">(kind: T) {
  return strict("FileSystemSpecialPath", { kind: v.literal(kind), subpath: maybe(shortText()) });
}

/** What an entry is about, after parsing. */
export type EntryPath =
  | { type: "path"; path: URL }
  | { type: "glob_pattern"; pattern: string }
  | { type: "special"; value: SpecialPath };

const entryPath = tagged<v.GenericSchema<unknown, EntryPath>>("type", "FileSystemPath", {
  path: strict("FileSystemPath", { type: v.literal("path"), path: shortPathUri() }),
  glob_pattern: strict("FileSystemPath", { type: v.literal("glob_pattern"), pattern: shortText() }),
  special: strict("FileSystemPath", { type: v.literal("special"), value: specialPath }),
});

const entry = strict("FileSystemSandboxEntry", {
  path: entryPath,
  access: v.pipe(
    variant(["read", "write", "deny", "none"]),
    v.transform((access) => access === "none" ? "deny" : access),
  ),
  missing_path_behavior: maybe(variant(["skip"])),
});

const entries = v.pipe(
  list(entry),
  v.maxLength(MAX_SANDBOX_ENTRIES, `more than ${MAX_SANDBOX_ENTRIES} entries`),
  v.check(
    (all) => all.filter((one) => one.path.type === "glob_pattern").length <= MAX_SANDBOX_GLOBS,
    `more than ${MAX_SANDBOX_GLOBS} glob patterns`,
  ),
);

const globDepth = v.pipe(
  v.number((issue) => invalidType(issue.input, "a nonzero usize")),
  v.check(
    (depth) => Number.isInteger(depth) && depth >= 1 && depth <= MAX_GLOB_SCAN_DEPTH,
    (issue) =>
      `invalid value: integer \`${issue.input}\`, expected a number from 1 to ${MAX_GLOB_SCAN_DEPTH}`,
  ),
);

/** What may be done with files, after parsing. */
export type FilePermissions =
  | {
    type: "restricted";
    entries: v.InferOutput<typeof entries>;
    glob_scan_max_depth?: number | null | undefined;
  }
  | { type: "unrestricted" };

const filePermissions = tagged<v.GenericSchema<unknown, FilePermissions>>(
  "type",
  "ExecFileSystemPermissions",
  {
    restricted: struct("ExecFileSystemPermissions", {
      type: v.literal("restricted"),
      entries,
      glob_scan_max_depth: maybe(globDepth),
    }),
    unrestricted: struct("ExecFileSystemPermissions", { type: v.literal("unrestricted") }),
  },
);

const network = choice(["restricted", "enabled"]);

/** What a request may do, after parsing. */
export type Permissions =
  | { type: "managed"; file_system: FilePermissions; network: "restricted" | "enabled" }
  | { type: "disabled" }
  | { type: "external"; network: "restricted" | "enabled" };

const permissions = tagged<v.GenericSchema<unknown, Permissions>>("type", "ExecPermissionProfile", {
  managed: struct("ExecPermissionProfile", {
    type: v.literal("managed"),
    file_system: filePermissions,
    network,
  }),
  disabled: struct("ExecPermissionProfile", { type: v.literal("disabled") }),
  external: struct("ExecPermissionProfile", { type: v.literal("external"), network }),
});

/** The whole object. */
export const sandboxContext = struct("WireFileSystemSandboxContext", {
  permissions,
  cwd: maybe(shortPathUri()),
  workspaceRoots: v.optional(roots()),
  windowsSandboxLevel: variant(["disabled", "restricted-token", "elevated", "mxc"]),
  useLegacyLandlock: v.optional(flag()),
  sandboxOverride: v.optional(
    variant(["noOverride", "escalatedSandboxWithRestrictions", "bypassSandboxFirstAttempt"]),
  ),
  windowsSandboxProxySettingsMode: maybe(choice(["reconcile", "preserve"])),
  policyContext: maybe(
    struct("WireFileSystemPolicyContext", {
      cwd: maybe(shortPathUri()),
      workspaceRoots: v.optional(roots()),
    }),
  ),
  userHomeDir: maybe(shortPathUri()),
  temporaryDirectories: maybe(roots()),
});

/** The `sandbox` member of a request: absent, null, or the whole object. To replace {@link sandbox}. */
export const enforcedSandbox = () => maybe(sandboxContext);

/** The object as a handler gets it. */
export type SandboxContext = v.InferOutput<typeof sandboxContext>;
