// Fuzzes the compiled server for a time: the corpus first, then rounds of new cases in every area. Prints what it has
// tried and what the server holds; a failure is shrunk and printed as a line for tests/fuzz/corpus.jsonl.
//
//   npm run fuzz -- [--minutes N] [--seed S] [--area PART] [--replay LINE]
import process from "node:process";
import { parseArgs } from "node:util";
import { allAreas, corpus, parseEntry } from "../tests/fuzz/areas.ts";
import { explore, FuzzFailure, fuzzSeed, replay, seedOf } from "../tests/fuzz/run.ts";
import { grown } from "../tests/fuzz/growth.ts";
import { createWorld, type Footprint } from "../tests/fuzz/world.ts";
import { compile } from "./compile.ts";

/** Rounds are short, so that memory is looked at often. */
const SHARE_OF_SHORT_RUNS = 1 / 2;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    seed: { type: "string" },
    area: { type: "string", default: "" },
    replay: { type: "string" },
  },
});
const seed = values.seed === undefined ? fuzzSeed() : Number(values.seed);
const counts = new Map<string, number>();
const shown = ({ files, memory }: Footprint) => `${files} descriptors, ${memory.toFixed(0)} MiB`;

async function fuzz(): Promise<void> {
  await compile();
  const areas = (await allAreas()).filter(({ name }) => name.includes(values.area));
  const world = await createWorld();
  if (values.replay !== undefined) {
    await replay(world, areas, [parseEntry(values.replay)]);
    await world.close();
    return console.log("the case passes");
  }
  console.log(`seed ${seed}, ${values.minutes} minutes`);
  await replay(world, areas, corpus().filter(({ area }) => area.includes(values.area)));
  const prints: Footprint[] = [await world.settled()];
  const began = performance.now();
  const until = began + Number(values.minutes) * 60_000;
  for (let round = 0; performance.now() < until; round++) {
    for (const [index, area] of areas.entries()) {
      const runs = Math.ceil(area.shortRuns * SHARE_OF_SHORT_RUNS);
      await explore(world, area, seedOf(seed, round, index), runs);
      counts.set(area.name, (counts.get(area.name) ?? 0) + runs);
    }
    const print = await world.settled();
    prints.push(print);
    console.log(`round ${round}: ${shown(print)}`);
  }
  report(performance.now() - began, prints);
  const growth = grown(prints.slice(1)); // the first round warms up
  if (growth !== undefined) throw new Error(growth);
  await world.close();
}

function report(ms: number, prints: readonly Footprint[]): void {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  for (const [name, count] of counts) console.log(`${String(count).padStart(8)}  ${name}`);
  console.log(`${String(total).padStart(8)}  cases, ${(1000 * total / ms).toFixed(0)} a second`);
  const [first] = prints, last = prints.at(-1);
  if (first && last) console.log(`at the start ${shown(first)}; at the end ${shown(last)}`);
}

await fuzz().catch((error: unknown) => {
  console.error(error instanceof FuzzFailure ? error.message : error);
  if (error instanceof FuzzFailure) {
    console.error(`\nseed ${error.seed ?? seed}; the smallest case found:\n\n${error.line}\n`);
    console.error(
      "again: npm run fuzz -- --replay 'THE LINE'; when it is fixed, add it to tests/fuzz/corpus.jsonl",
    );
  }
  process.exit(1); // the harness kills the server
});
process.exit(0);
