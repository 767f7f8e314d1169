/** Bun's compiler, as the npm packages `@oven/bun-*` carry it. */
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";

/** Path of the compiler for this machine. @throws when its package was not installed */
export function bunCompiler(): string {
  const arch = process.arch === "arm64" ? "aarch64" : process.arch;
  const require = createRequire(import.meta.url);
  for (
    const name of [`@oven/bun-${process.platform}-${arch}`, `@oven/bun-${process.platform}-${arch}-baseline`]
  ) {
    try {
      const path = join(dirname(require.resolve(`${name}/package.json`)), "bin", "bun");
      if (existsSync(path)) return path;
    } catch {
      // not installed: try the next one
    }
  }
  throw new Error(`no compiler for ${process.platform}-${arch}: run \`npm ci\` (with optional dependencies)`);
}
