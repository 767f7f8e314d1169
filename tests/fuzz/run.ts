/** Tries cases: those of the corpus, and new ones from a seed. */
import fc from "fast-check";
import process from "node:process";
import type { AnyArea } from "./area.ts";
import { type CorpusEntry, entryText } from "./areas.ts";
import type { World } from "./world.ts";

/** A case that the server does not stand. */
export class FuzzFailure extends Error {
  /** The case, as a line for corpus.jsonl. */
  readonly line: string;
  /** What made it; undefined when it comes from the corpus. */
  readonly seed: number | undefined;
  /** @param what the server did wrong */
  constructor(what: string, line: string, seed: number | undefined) {
    super(what);
    this.line = line;
    this.seed = seed;
    this.name = "FuzzFailure";
  }
}

/** EXEC_SERVER_FUZZ_SEED, else a new one. */
export function fuzzSeed(): number {
  const given = process.env["EXEC_SERVER_FUZZ_SEED"];
  return given === undefined || given === "" ? Math.floor(Math.random() * 2 ** 31) : Number(given);
}

/** Another seed for each round and area: methods with like params must not all get the same ones. */
export function seedOf(seed: number, round: number, area: number): number {
  return (seed + 7919 * round + 104_729 * area) % 2 ** 31;
}

/** Tries one case, as it was written down. @throws Error saying what the server did wrong */
export async function tryCase(world: World, area: AnyArea, one: unknown): Promise<void> {
  let failure: unknown;
  try {
    await area.attempt(world, world.place(one));
  } catch (error) {
    failure = error;
  }
  try {
    await world.verify();
  } catch (error) {
    throw new Error([failure, error].flatMap((e) => e instanceof Error ? [e.message] : []).join("\n"));
  }
  if (failure !== undefined) throw failure;
}

/** Tries the cases of a corpus. @throws FuzzFailure for the first that fails */
export async function replay(world: World, areas: readonly AnyArea[], entries: readonly CorpusEntry[]) {
  for (const entry of entries) {
    const area = areas.find(({ name }) => name === entry.area);
    if (area === undefined) throw new Error(`the corpus names an area that is not there: ${entry.area}`);
    await tryCase(world, area, entry.case).catch((error: unknown) => {
      throw new FuzzFailure(`${entry.why}: ${messageOf(error)}`, JSON.stringify(entry), undefined);
    });
  }
}

/** Tries new cases. @throws FuzzFailure with the smallest one that fails */
export async function explore(world: World, area: AnyArea, seed: number, runs: number): Promise<void> {
  // What JSON cannot hold must not be what makes a case: it could not be written down.
  const cases = area.cases.map((one): unknown => JSON.parse(JSON.stringify(one)));
  const property = fc.asyncProperty(cases, (one) => tryCase(world, area, one));
  const examples = area.always.map((one): [unknown] => [one]);
  const result = await fc.check(property, { seed, numRuns: runs + examples.length, examples });
  if (!result.failed) return;
  const [smallest] = result.counterexample ?? [];
  const what = messageOf(result.errorInstance);
  throw new FuzzFailure(`${area.name}: ${what}`, entryText(area.name, what.slice(0, 200), smallest), seed);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
