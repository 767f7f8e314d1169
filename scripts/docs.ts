/**
 * `npm run docs`: writes the pages of docs/ that are made from the code. With `--check` it writes nothing and exits
 * with 1 when a page is not what it would write.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { compile } from "./compile.ts";
import { auditPage } from "./docs/audit.ts";
import { cliPage } from "./docs/cli.ts";
import { compatibilityPage } from "./docs/compatibility.ts";
import { formatted } from "./docs/markdown.ts";
import { protocolPage } from "./docs/protocol.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGES: Readonly<Record<string, () => string | Promise<string>>> = {
  "docs/protocol.md": protocolPage,
  "docs/cli.md": cliPage,
  "docs/compatibility.md": compatibilityPage,
  "docs/audit.md": auditPage,
};

await compile(); // docs/cli.md shows what the executable prints
const check = process.argv.includes("--check");
const stale: string[] = [];
for (const [name, make] of Object.entries(PAGES)) {
  const path = join(ROOT, name);
  const text = formatted(await make());
  if (text === present(path)) continue;
  stale.push(name);
  if (check) continue;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
if (check && stale.length > 0) {
  console.log(`not current: ${stale.join(", ")}\nFix it with: npm run docs`);
  process.exitCode = 1;
} else console.log(stale.length === 0 ? "docs/ is current" : `wrote ${stale.join(", ")}`);

function present(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // not there yet
  }
}
