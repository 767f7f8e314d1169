/**
 * `npm run bench`: our compiled server beside the real `codex exec-server`, OpenSSH and the limits of this machine,
 * alternating in one run. Prints tables of medians and ratios.
 *
 *   --only NAME,…     these workloads; `file-*` is all that begin so
 *   --quick           less work and at most three rounds: to see that it works
 *   --rounds N        so many rounds of each
 *   --codex PATH      the reference; without it the npm package is installed into dist/bench-codex
 *   --without A,…     leaves out codex or ssh
 *   --json FILE       every value of every round
 *   --write-docs      docs/performance.md and its plots
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { atExit } from "../../tests/harness/at_exit.ts";
import { compile } from "../compile.ts";
import { factsOf } from "./machine.ts";
import { prepareBare } from "./peers/bare.ts";
import { codexExecutable } from "./peers/codex.ts";
import { startSsh } from "./peers/ssh.ts";
import { type Run, writePage } from "./report/page.ts";
import { peaksTable, ratiosTable, refusals, valuesTable } from "./report/tables.ts";
import { type Report, run } from "./run.ts";
import type { Scene, Workload } from "./workload.ts";
import { WORKLOADS } from "./workloads/all.ts";

const QUICK_ROUNDS = 3;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    codex: { type: "string" },
    without: { type: "string", default: "" },
    json: { type: "string" },
    "write-docs": { type: "boolean", default: false },
  },
});

await main();
process.exit(process.exitCode ?? 0); // a contender that hung may hold the event loop; what it started is killed

async function main(): Promise<void> {
  const workloads = chosen(values.only);
  if (values["write-docs"] && values.only !== undefined) {
    throw new Error("the page shows all workloads: leave out --only or --write-docs");
  }
  await compile();
  const scratch = mkdtempSync("/var/tmp/bench-");
  atExit(() => rmSync(scratch, { recursive: true, force: true }));
  const without = values.without.split(",");
  const ssh = without.includes("ssh") ? undefined : await startSsh();
  try {
    const scene: Scene = {
      scratch,
      codex: without.includes("codex") ? undefined : codexExecutable(values.codex),
      ssh,
      bare: prepareBare(scratch),
      pick: (full, quick) => values.quick ? quick : full,
    };
    const facts = factsOf(scene);
    for (const [name, value] of Object.entries(facts)) console.log(`${name}: ${value}`);
    const reports: Report[] = [];
    for (const workload of workloads) {
      console.error(`${workload.name} …`);
      reports.push(await run(workload, roundsOf(workload), scene));
    }
    show(reports);
    const done: Run = { facts, quick: values.quick, reports };
    if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(done, null, 2));
    if (values["write-docs"]) writePage(done);
  } finally {
    await ssh?.close();
  }
}

function chosen(only: string | undefined): readonly Workload[] {
  if (only === undefined) return WORKLOADS;
  const named = only.split(",").map((name) => {
    const found = WORKLOADS.filter((each) =>
      name.endsWith("*") ? each.name.startsWith(name.slice(0, -1)) : each.name === name
    );
    if (found.length > 0) return found;
    throw new Error(`no workload ${name}; there are ${WORKLOADS.map((each) => each.name).join(", ")}`);
  });
  return WORKLOADS.filter((each) => named.flat().includes(each));
}

function roundsOf({ rounds }: Workload): number {
  if (values.rounds !== undefined) return Number(values.rounds);
  return values.quick ? Math.min(QUICK_ROUNDS, rounds) : rounds;
}

function show(reports: readonly Report[]): void {
  const library = `with our library:\n\n${ratiosTable(reports, "library")}`;
  for (
    const part of [
      ratiosTable(reports),
      library,
      valuesTable(reports),
      peaksTable(reports),
      refusals(reports),
    ]
  ) {
    console.log(`\n${part}`);
  }
}
