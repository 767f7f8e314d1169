/** Changes a file in place, for files that cannot be exchanged. */
import type { FileHandle } from "node:fs/promises";
import { type Content, pour } from "./content.ts";

/**
 * Overwrites an open file. What lies beyond its old end is written first: when the disk is full the file is cut back
 * and has lost nothing; the rest needs no new space.
 * @throws the error of `node:fs`
 */
export async function overwrite(file: FileHandle, oldSize: number, content: Content): Promise<void> {
  let beyond = 0;
  try {
    beyond = await pour(content, file, { start: oldSize, end: Infinity });
  } catch (error) {
    await file.truncate(oldSize).catch(() => {}); // the first error is the one to report
    throw error;
  }
  const within = await pour(content, file, { start: 0, end: oldSize });
  if (beyond === 0 && within < oldSize) await file.truncate(within);
}
