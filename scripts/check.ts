/** `npm run check`: format, lint, types under both checkers, documentation, and versions that must agree. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as v from "valibot";
import { VERSION } from "../src/version.ts";
import { denoProgram } from "./deno.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
let failures = 0;

function step(name: string, command: string, args: string[], relevant = (_line: string) => true): void {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  report(
    name,
    status === 0,
    status === 0 ? "" : `${stdout}${stderr}`.split("\n").filter(relevant).join("\n"),
  );
}

function report(name: string, ok: boolean, details: string): void {
  console.log(`${ok ? "ok  " : "FAIL"} ${name}`);
  if (ok) return;
  failures++;
  console.log(details.trimEnd());
}

const deno = denoProgram();
step("format", deno, ["fmt", "--check", "--quiet"]);
step("lint", deno, ["lint", "--quiet"]);
step("types (tsc)", process.execPath, ["node_modules/typescript/bin/tsc", "-p", "."]);
step("types (deno)", deno, ["check", "--quiet", "mod.ts", "cli.ts"]);
// deno doc cannot resolve the types that @types/node refers to and warns of each: not about this code.
step(
  "docstrings",
  deno,
  ["doc", "--lint", "mod.ts"],
  (line) => !/Failed resolving types|^ +at file:/.test(line),
);

const Manifest = v.object({ version: v.string() });
for (const name of ["package.json", "deno.json"]) {
  const { version } = v.parse(Manifest, JSON.parse(readFileSync(`${root}/${name}`, "utf8")));
  report(`version in ${name}`, version === VERSION, `${version} there, ${VERSION} in src/version.ts`);
}
process.exit(failures === 0 ? 0 : 1);
