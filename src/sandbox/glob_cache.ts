/** Remembers what a pattern matched, for a moment: a file helper asks before each request. */
import { type DeniedGlob, type GlobMatch, type ScanBudget, scanGlob } from "./glob_scan.ts";

/** Finds what matches, within a budget. */
export type GlobScanner = (glob: DeniedGlob, budget: ScanBudget) => Promise<readonly GlobMatch[]>;

/** How old an answer may be. What appears in between is denied by the helper itself, by its name. */
const MAX_AGE_MS = 1_000;
/** Answers that are kept, the newest. */
const MAX_ANSWERS = 64;

/** A scanner with a memory. */
export function createGlobScanner(now: () => number = () => performance.now()): GlobScanner {
  const answers = new Map<string, { readonly at: number; readonly found: Promise<readonly GlobMatch[]> }>();
  return async (glob, budget) => {
    const key = JSON.stringify([glob.base, glob.rest, glob.depth]);
    let answer = answers.get(key);
    if (!answer || now() - answer.at > MAX_AGE_MS) {
      answer = { at: now(), found: scanGlob(glob, { ...budget }) };
      answers.delete(key);
      answers.set(key, answer);
      const [oldest] = answers.keys();
      if (answers.size > MAX_ANSWERS && oldest !== undefined) answers.delete(oldest);
      answer.found.catch(() => answers.delete(key)); // a refusal is found out anew
    }
    return await answer.found;
  };
}
