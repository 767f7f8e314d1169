import { runtime } from "./detect.ts";

/** False where `node:fs` takes names for text: Deno would touch another file than the one that was named. */
export const fileNamesAreBytes: boolean = runtime !== "deno";
