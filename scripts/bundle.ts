/** dist/cli.mjs: the program as one file for Node and Deno; what `deno task compile` compiles. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { bunCompiler } from "./bun_compiler.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
execFileSync(
  bunCompiler(),
  ["build", "--target=node", "--format=esm", "cli.ts", "--outfile", "dist/cli.mjs"],
  {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  },
);
