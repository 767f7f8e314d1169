// `npm run docs:sandbox`: runs the attacks through the compiled server and writes their results into docs/sandbox.md.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const PAGE = "docs/sandbox.md";
const LIMIT_MS = 600_000;

const run = spawnSync(process.execPath, [...process.execArgv, "scripts/test.ts", "sandbox/wire_attacks"], {
  encoding: "utf8",
  env: { ...process.env, SANDBOX_TABLE: "1" },
  stdio: ["ignore", "pipe", "inherit"],
  timeout: LIMIT_MS,
});
if (run.status !== 0) throw new Error(`the attacks did not pass:\n${run.stdout}`);
const rows = run.stdout.split("\n").filter((line) => line.startsWith("| "));
const page = readFileSync(PAGE, "utf8");
writeFileSync(
  PAGE,
  page.replace(
    /<!-- attacks -->[^]*<!-- \/attacks -->/,
    () => `<!-- attacks -->\n\n${rows.join("\n")}\n\n<!-- /attacks -->`,
  ),
);
console.log(`${rows.length - 2} attacks`);
