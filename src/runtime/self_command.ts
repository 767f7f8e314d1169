/** Whether this program is one file that can be started again as its own helper. */
import { runtime } from "./detect.ts";

/** Where Bun keeps the modules of a compiled program. */
const COMPILED_FOLDER = "/$bunfs/";

/**
 * True for the compiled executable: `process.execPath` is this program. From source it is the runtime, which would
 * have to be told what to run, and see the sources.
 */
export const isCompiled: boolean = runtime === "bun" && mainModule().startsWith(COMPILED_FOLDER);

function mainModule(): string {
  const bun: unknown = Reflect.get(globalThis, "Bun");
  const main: unknown = typeof bun === "object" && bun !== null && "main" in bun ? bun.main : undefined;
  return typeof main === "string" ? main : "";
}
