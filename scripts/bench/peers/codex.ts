/** The reference server: the executable inside of the npm package `@openai/codex`. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../../dist/bench-codex", import.meta.url));
const VERSION = "0.169.0";
const INSTALL_LIMIT_MS = 300_000;

/**
 * The executable at `path`, or of a package that is installed into dist/bench-codex where it is not there yet. npm's
 * `codex` is a script that starts the executable: that one is returned, because a shim would count as start-up and
 * memory.
 */
export function codexExecutable(path: string | undefined): string {
  if (path === undefined) {
    if (executableBelow(FOLDER) === undefined) install();
    const installed = executableBelow(FOLDER);
    if (installed === undefined) {
      throw new Error(`no codex executable below ${FOLDER}: give one with --codex`);
    }
    return installed;
  }
  const real = realpathSync(path);
  if (!real.endsWith(".js")) return real;
  // PARENT/node_modules/@openai/codex/bin/codex.js
  return executableBelow(join(dirname(real), "../../../..")) ?? real;
}

function install(): void {
  console.error(`installing @openai/codex@${VERSION} into ${FOLDER}`);
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, "package.json"), "{}"); // else npm installs into our own package
  execFileSync(
    "npm",
    ["install", "--no-audit", "--no-fund", "--ignore-scripts", `@openai/codex@${VERSION}`],
    {
      cwd: FOLDER,
      stdio: ["ignore", "ignore", "inherit"],
      timeout: INSTALL_LIMIT_MS,
    },
  );
}

/** node_modules/@openai/codex-PLATFORM/vendor/TRIPLE/…/codex */
function executableBelow(folder: string): string | undefined {
  let packages: string[];
  try {
    packages = readdirSync(join(folder, "node_modules", "@openai"));
  } catch {
    return undefined; // nothing is installed
  }
  for (const name of packages.filter((each) => each.startsWith("codex-"))) {
    const vendor = join(folder, "node_modules", "@openai", name, "vendor");
    const found = readdirSync(vendor, { recursive: true, withFileTypes: true }).find((entry) =>
      entry.isFile() && entry.name === "codex"
    );
    if (found) return join(found.parentPath, found.name);
  }
  return undefined;
}
