// Runs tests/**/*.test.ts, each in a process of its own, against the compiled executable and then, for the contract
// and the wire, against the same program run from source by Node and by Deno. Prints `N passed, M failed` last.
//
//   npm test -- [--jobs N] [--all-forms] [part of a path …]
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runFile } from "../tests/harness/run_file.ts";
import { installTestPrograms } from "./test_programs.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const deno = join(root, "scripts/deno/node_modules/.bin/deno");
process.chdir(root);

interface Form {
  name: "compiled" | "node" | "deno";
  bin: string;
  /** Only these folders; all when absent. */
  folders?: string[];
}

const { values, positionals } = parseArgs({
  options: { jobs: { type: "string", default: "2" }, "all-forms": { type: "boolean", default: false } },
  allowPositionals: true,
});
const files = readdirSync("tests", { recursive: true, encoding: "utf8" }).map((name) => join("tests", name))
  .sort()
  .filter((file) => file.endsWith(".test.ts"))
  .filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)));

if (positionals.length === 0) installTestPrograms();
let passed = 0, failed = 0;
for (const form of await forms()) {
  const chosen = files.filter((file) =>
    form.folders?.some((folder) => file.startsWith(`${folder}/`)) ?? true
  );
  await runAll(form, chosen);
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

async function forms(): Promise<Form[]> {
  const given = process.env["EXEC_SERVER_BIN"];
  if (given !== undefined) return [{ name: formOf(given), bin: given }];
  const { compile } = await import("../scripts/compile.ts");
  await compile();
  const compiled: Form = { name: "compiled", bin: join(root, "dist/exec-server") };
  if (!values["all-forms"] && process.env["CI"] !== "true" && positionals.length > 0) return [compiled];
  if (!existsSync(deno)) execFileSync("npm", ["ci", "--prefix", "scripts/deno"], { stdio: "inherit" });
  const folders = ["tests/contract", "tests/wire"];
  const cli = join(root, "cli.ts");
  const tsx = import.meta.resolve("tsx"); // a bare "tsx" would be looked up from the server's working folder
  return [
    compiled,
    { name: "node", bin: `${process.execPath} --import ${tsx} ${cli}`, folders },
    { name: "deno", bin: `${deno} run -A ${cli}`, folders },
  ];
}

function formOf(bin: string): Form["name"] {
  return bin.includes("deno run") ? "deno" : /--import \S*tsx/.test(bin) ? "node" : "compiled";
}

/** Several files at a time, the output of each in one piece and in order. */
async function runAll(form: Form, chosen: string[]): Promise<void> {
  const queue = [...chosen];
  const environment = { EXEC_SERVER_BIN: form.bin, EXEC_SERVER_FORM: form.name };
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const began = performance.now();
      const result = await runFile(file, environment);
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      passed += result.passed;
      failed += result.failed;
      const verdict = result.failed > 0 ? `FAILED ${result.failed}` : "ok";
      console.log(
        `--- ${file} [${form.name}] ${verdict}, ${result.passed} passed, ${seconds} s\n${result.output.trimEnd()}\n`,
      );
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs) || 1) }, worker));
}
