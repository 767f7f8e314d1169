/** `exec-server logs`. */
import process from "node:process";
import { complain } from "./exit.ts";
import { type Options, switchOption } from "./options.ts";
import { chosenProcess, withSession } from "./session.ts";
import { written } from "./written.ts";

/** Prints what is kept of a process's output, and leaves it there. */
export async function logs(options: Options): Promise<number> {
  return await withSession(options, switchOption(options, "force"), async (session) => {
    const kept = await session.processes.retained(await chosenProcess(session, options));
    if (kept.beginningLost) complain("older output is not kept any more");
    for (const { stream, bytes } of kept.chunks) {
      const to = stream === "stderr" ? process.stderr : process.stdout;
      await written(to, bytes);
    }
    if (kept.more) complain("there is more; `exec-server attach` gets all of it");
    return 0;
  });
}
