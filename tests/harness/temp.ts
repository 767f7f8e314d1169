import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atExit } from "./at_exit.ts";

/** A fresh, empty folder below the run's private TMPDIR (its real path); removed when the test process ends. */
export function tempDir(): string {
  return tempDirIn(tmpdir());
}

/** As {@link tempDir}, below `parent`. For the rare thing that must not lie below TMPDIR. */
export function tempDirIn(parent: string): string {
  const path = realpathSync(mkdtempSync(join(parent, "t-")));
  atExit(() => rmSync(path, { recursive: true, force: true, maxRetries: 3 }));
  return path;
}
