/** `npm run fmt`, and Deno for the other scripts: installed in a folder of its own on first use. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("./deno", import.meta.url));

/** Path of the pinned Deno. */
export function denoProgram(): string {
  const program = join(FOLDER, "node_modules", ".bin", "deno");
  if (!existsSync(program)) {
    execFileSync("npm", ["ci", "--silent", "--prefix", FOLDER], { stdio: ["ignore", "ignore", "inherit"] });
  }
  return program;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { status } = spawnSync(denoProgram(), process.argv.slice(2), { stdio: "inherit" });
  process.exit(status ?? 1);
}
