/** `npm run compile`: cli.ts and all it imports, as one self-contained executable, dist/exec-server. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { bunCompiler } from "./bun_compiler.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** The executable. */
export const EXECUTABLE = join(ROOT, "dist", "exec-server");

/** Compiles, unless the executable is newer than everything it is made of. */
export function compile(): Promise<void> {
  if (!isCurrent()) {
    mkdirSync(join(ROOT, "dist"), { recursive: true });
    const fresh = `${EXECUTABLE}.${process.pid}`;
    execFileSync(bunCompiler(), [
      "build",
      "--compile",
      "--minify",
      "--bytecode",
      "--format=esm",
      // Else the executable would run code of the directory it is started in.
      "--no-compile-autoload-bunfig",
      "--no-compile-autoload-dotenv",
      join(ROOT, "cli.ts"),
      "--outfile",
      fresh,
    ], {
      cwd: ROOT,
      stdio: ["ignore", "ignore", "inherit"],
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"] },
    });
    renameSync(fresh, EXECUTABLE); // in one step: a test that is starting it must not see half a file
    for (const left of readdirSync(ROOT).filter((name) => name.endsWith(".bun-build"))) {
      rmSync(join(ROOT, left));
    }
  }
  return Promise.resolve();
}

function isCurrent(): boolean {
  const built = statSync(EXECUTABLE, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
    .map((name) => join("src", name))
    .concat("cli.ts", "package-lock.json", "scripts/compile.ts");
  return sources.every((name) => statSync(join(ROOT, name)).mtimeMs < built);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await compile();
  console.log(EXECUTABLE);
}
