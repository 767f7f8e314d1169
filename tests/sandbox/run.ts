// Runs programs in real sandboxes, as root and as an ordinary user, with nothing between Node and bwrap.
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { bubblewrapCommand, type BubblewrapOptions, DESCRIPTORS } from "../../src/sandbox/bubblewrap.ts";
import { findBwrap } from "../../src/sandbox/find_bwrap.ts";
import type { Plan } from "../../src/sandbox/plan.ts";
import { runOnce, type RunResult } from "../../src/sandbox/run_once.ts";
import { seccompFilter } from "../../src/sandbox/seccomp.ts";
import { tempDir } from "../harness/temp.ts";

const NOBODY = 65_534;

/** Who runs the sandbox. */
export interface Account {
  readonly name: "root" | "user";
  readonly uid: number;
  /** What comes before the command. */
  readonly prefix: readonly string[];
}

/** As root both; as anybody else only what we are. */
export const accounts: readonly Account[] = process.getuid?.() === 0
  ? [
    { name: "root", uid: 0, prefix: [] },
    {
      name: "user",
      uid: NOBODY,
      prefix: ["/usr/bin/setpriv", "--reuid", `${NOBODY}`, "--regid", `${NOBODY}`, "--clear-groups", "--"],
    },
  ]
  : [{ name: "user", uid: process.getuid?.() ?? NOBODY, prefix: [] }];

/** The bwrap that is tested. */
export function requireBwrap(): string {
  const found = findBwrap();
  if ("path" in found) return found.path;
  throw new Error(`these tests need bubblewrap (${found.problem}): apt-get install bubblewrap`);
}

/** The filter that belongs to a plan. */
export function filterFor(plan: Plan): Uint8Array {
  if (process.arch !== "x64" && process.arch !== "arm64") throw new Error(`no filter for ${process.arch}`);
  return seccompFilter({
    network: plan.network,
    nestedNamespaces: plan.nestedNamespaces,
    arch: process.arch,
  });
}

/** A folder with files (`/` at the end: a folder; ` -> `: a link) that belongs to an account. */
export function treeOf(account: Account, ...names: string[]): string {
  chmodSync(tmpdir(), 0o755); // the other account has to get through
  const root = tempDir();
  for (const name of names) {
    const [path = "", target] = name.split(" -> ");
    const full = join(root, path);
    mkdirSync(path.endsWith("/") ? full : dirname(full), { recursive: true });
    if (target !== undefined) symlinkSync(target, full);
    else if (!path.endsWith("/")) writeFileSync(full, `${path}\n`);
  }
  chmodSync(root, 0o755);
  if (process.getuid?.() === 0) chownAll(root, account.uid);
  return root;
}

function chownAll(path: string, uid: number): void {
  if (lstatSync(path).isSymbolicLink()) return;
  chownSync(path, uid, uid);
  if (lstatSync(path).isDirectory()) {
    for (const name of readdirSync(path)) {
      chownAll(join(path, name), uid);
    }
  }
}

/** Runs a program in the sandbox of a plan. */
export function inSandbox(
  account: Account,
  plan: Plan,
  argv: readonly string[],
  options: Partial<BubblewrapOptions> = {},
): Promise<RunResult> {
  const command = bubblewrapCommand(plan, {
    bwrap: requireBwrap(),
    program: { file: argv[0] ?? "", argv },
    env: { PATH: "/usr/bin:/bin" },
    descriptors: { ...DESCRIPTORS, go: undefined },
    terminal: false,
    ...options,
  });
  return runOnce({ ...command, argv: [...account.prefix, ...command.argv] }, filterFor(plan));
}

/** Runs a script; its output, after checking that it ran to its end. */
export async function script(account: Account, plan: Plan, text: string): Promise<string> {
  const result = await inSandbox(account, plan, ["/bin/sh", "-c", `exec 2>&1\n${text}`]);
  if (!result.executed || !result.ready) throw new Error(`the sandbox could not be made: ${result.stderr}`);
  return result.stdout;
}

/** The names in a folder, sorted. */
export function namesIn(path: string): string[] {
  return existsSync(path) ? readdirSync(path).sort() : [];
}
