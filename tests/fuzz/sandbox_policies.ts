/** The `sandbox` member: policies that hold, that contradict themselves, and that are none. */
import fc from "fast-check";
import { HOSTILE_TEXTS, hostileValue } from "./hostile.ts";
import { nearly } from "./schema_values.ts";

/** Roots and entries stay in the scratch folder, or name what an ordinary account cannot change. */
const path = fc.constantFrom(
  "file://{W}",
  "file://{W}/dir",
  "file://{W}/dir/sub",
  "file://{W}/file",
  "file://{W}/missing",
  "file://{W}/missing/below",
  "file://{W}/link",
  "file://{W}/dlink",
  "file://{W}/loop",
  "file://{W}/.git",
  "file://{W}/bad%FF",
  "file://{W}/%0A",
  "file://{W}/../../../../fifo",
  `file://{W}/${"n".repeat(300)}`,
  "file:///",
  "file:///usr",
  "file:///etc/passwd",
  "file:///proc",
  "file:///dev/null",
);

const pattern = fc.constantFrom(
  "{W}/**/*.pem",
  "{W}/dir/*",
  "**",
  "*",
  "{W}/{a,b,{c,d}}",
  "[",
  "[!a-",
  "{W}/[z-a]",
  "\\",
  "{W}/**/**/**/**/x",
  "{".repeat(200),
  "{a,b}".repeat(30),
  ...HOSTILE_TEXTS,
);

/** Not `slash_tmp`: its protected names would get stand-ins in a folder that is not ours. */
const special = fc.oneof(
  fc.record({ kind: fc.constantFrom("root", "minimal", "tmpdir", "later") }),
  fc.record({
    kind: fc.constantFrom("project_roots", "current_working_directory"),
    subpath: fc.constantFrom(null, ".git", "dir", "..", "../../x", "/", "", "a\0", "missing/below"),
  }),
);

const entry = fc.record(
  {
    path: fc.oneof(
      { weight: 3, arbitrary: fc.record({ type: fc.constant("path"), path }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant("glob_pattern"), pattern }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant("special"), value: special }) },
    ),
    access: fc.constantFrom("read", "read", "write", "write", "deny", "none"),
    missing_path_behavior: fc.constantFrom("skip", null),
  },
  { requiredKeys: ["path", "access"], noNullPrototype: true },
);

const everything = {
  path: { type: "special", value: { kind: "root" } },
  access: "read",
};

const fileSystem = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record(
      {
        type: fc.constant("restricted"),
        // Mostly one that a program can run under.
        entries: fc.array(entry, { maxLength: 5 }).map((entries) => [everything, ...entries]),
        glob_scan_max_depth: fc.constantFrom(null, null, 1, 1, 3, 3, 64, 64, 65, 0),
      },
      { requiredKeys: ["type", "entries"], noNullPrototype: true },
    ),
  },
  { weight: 1, arbitrary: fc.constant({ type: "restricted", entries: [] }) },
  { weight: 1, arbitrary: fc.constant({ type: "unrestricted" }) },
);

const network = fc.constantFrom("restricted", "enabled");

const permissions = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("managed"), file_system: fileSystem, network }) },
  { weight: 1, arbitrary: fc.constant({ type: "disabled" }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("external"), network }) },
);

const policies = fc.record(
  {
    permissions,
    windowsSandboxLevel: fc.constantFrom("disabled", "elevated"),
    cwd: fc.option(path),
    workspaceRoots: fc.array(path, { maxLength: 3 }),
    useLegacyLandlock: fc.constantFrom(false, false, false, false, true),
    policyContext: fc.record({ cwd: path, workspaceRoots: fc.array(path, { maxLength: 2 }) }),
    userHomeDir: fc.option(path),
    temporaryDirectories: fc.option(fc.array(path, { maxLength: 2 })),
  },
  { requiredKeys: ["permissions", "windowsSandboxLevel"], noNullPrototype: true },
);

/** Whole objects, objects with one thing wrong, and anything. */
export const sandboxes: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: policies },
  { weight: 2, arbitrary: nearly(policies) },
  { weight: 1, arbitrary: hostileValue },
);
