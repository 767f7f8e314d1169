/** `exec-server fs-helper`: not for people. Carries out file requests inside the sandbox that the server made. */
import process from "node:process";
import { serveOnce, serveRequests } from "../files/helper.ts";
import { standardStreams } from "../files/helper_streams.ts";
import { ExitCode } from "./exit.ts";

/** Serves standard input. @returns the exit code */
export async function fsHelper(args: readonly string[]): Promise<number> {
  const once = args.length === 1 && args[0] === "--once";
  if (args.length > 0 && !once) {
    process.stderr.write("fs-helper takes no argument but --once\n");
    return ExitCode.usage;
  }
  await (once ? serveOnce : serveRequests)(standardStreams());
  return 0;
}
