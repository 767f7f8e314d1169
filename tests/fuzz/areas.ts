/** All areas, and the cases that were written down. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { AnyArea, Area } from "./area.ts";
import { binaryArea } from "./binary_area.ts";
import { envelopeArea } from "./envelope_area.ts";
import { framesArea } from "./frames_area.ts";
import { httpArea } from "./http_area.ts";
import { declaredMethods } from "./methods.ts";
import { paramsAreas } from "./params_area.ts";
import { sequencesArea } from "./sequences_area.ts";

/** A line of corpus.jsonl. */
const Entry = v.object({
  area: v.string(),
  /** What it once broke, or which branch it is for. */
  why: v.string(),
  case: v.unknown(),
});
/** A case that is tried first in every run. */
export type CorpusEntry = v.InferOutput<typeof Entry>;

/** Every area. @throws Error when a method that is served has no values */
export async function allAreas(): Promise<AnyArea[]> {
  return [
    // First: helpers of sandboxed requests stay for a while, and meanwhile the others are tried.
    ...paramsAreas(await declaredMethods()).map(checked),
    checked(sequencesArea),
    checked(httpArea),
    checked(framesArea),
    checked(envelopeArea),
    checked(binaryArea),
  ];
}

function checked<C>({ name, schema, cases, always = [], shortRuns, attempt }: Area<C>): AnyArea {
  return { name, cases, always, shortRuns, attempt: (world, one) => attempt(world, v.parse(schema, one)) };
}

/** The entries of corpus.jsonl. */
export function corpus(): CorpusEntry[] {
  const text = readFileSync(join(import.meta.dirname, "corpus.jsonl"), "utf8");
  return text.split("\n").filter((line) => line !== "").map(parseEntry);
}

/** One line of the corpus, as a failure prints it. */
export function parseEntry(line: string): CorpusEntry {
  return v.parse(Entry, JSON.parse(line));
}

/** The line for a case. */
export function entryText(area: string, why: string, one: unknown): string {
  return JSON.stringify({ area, why, case: one });
}
