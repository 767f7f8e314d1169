/** `--sandbox` of `run` and `shell`, and what belongs to it. */
import { posix } from "node:path";
import type { Sandbox } from "../sandbox/trait.ts";
import { UsageError } from "./exit.ts";
import { listOption, type Options, switchOption, wordOption } from "./options.ts";

/** What they say; undefined: no sandbox. @throws UsageError for options that do not fit together */
export function sandboxOption(options: Options): Sandbox | undefined {
  const chosen = sandboxWords(options, "sandbox");
  if (!chosen) return undefined;
  const { roots, ...rest } = chosen;
  return { ...rest, ...(roots.length > 0 && { roots }) };
}

/** The same of any option of this kind, `--sandbox-root` and `--sandbox-network`. @throws UsageError */
export function sandboxWords(options: Options, name: "sandbox" | "sandbox-floor") {
  const mode = wordOption(options, name, ["none", "read-only", "workspace-write"], "none");
  const roots = listOption(options, "sandbox-root");
  const network = switchOption(options, "sandbox-network");
  if (mode !== "workspace-write" && roots.length > 0) {
    throw new UsageError(`--sandbox-root needs --${name} workspace-write`);
  }
  if (mode !== "none") return { mode, roots, network };
  if (network) throw new UsageError(`--sandbox-network needs --${name}`);
  return undefined;
}

/** With roots that count from a directory. */
export function sandboxFrom(base: string, sandbox: Sandbox): Sandbox {
  const { roots, ...rest } = sandbox;
  if (!roots) return sandbox;
  return { ...rest, roots: roots.map((root) => typeof root === "string" ? posix.resolve(base, root) : root) };
}
