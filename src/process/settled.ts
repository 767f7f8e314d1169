import type { ByteSource } from "../runtime/child.ts";
import { nextLook, QUIET_LOOKS } from "../runtime/look.ts";
import type { OutputLog } from "./output_log.ts";

/** The largest a pipe can be without privileges (pipe(7), /proc/sys/fs/pipe-max-size). */
const LARGEST_PIPE_BYTES = 1024 * 1024;

/**
 * Resolves when everything that was readable at the time of the call has been appended to the log: the moment for
 * `exited`. A background child that goes on writing cannot hold it back: more than a pipe can hold was not there.
 */
export async function settled(sources: readonly ByteSource[], log: OutputLog): Promise<void> {
  const before = log.receivedBytes;
  for (let quiet = 0; quiet < QUIET_LOOKS;) {
    // A reader that is slow holds back the rest of the output, so `exited` waits as well.
    await log.room();
    await nextLook();
    if (log.receivedBytes - before >= sources.length * LARGEST_PIPE_BYTES) return;
    quiet = sources.some((source) => source.mayHaveMore()) ? 0 : quiet + 1;
  }
}
