/** The signals that end a server. */
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import process from "node:process";

/**
 * Waits for a signal that ends the server: SIGINT, SIGTERM, or SIGHUP. SIGHUP does not when it was ignored as the
 * program was started, as nohup(1) does it, nor when it has another meaning.
 * @param options.again called at each further one, whichever it is
 */
export function endingSignal(
  options: { readonly hangUp: boolean; readonly again: () => void },
): Promise<NodeJS.Signals> {
  const ending: NodeJS.Signals[] = ["SIGINT", "SIGTERM"];
  if (options.hangUp && !isIgnored("SIGHUP")) ending.push("SIGHUP");
  // Not simply left alone: what is started would inherit that it is ignored.
  else if (options.hangUp) process.on("SIGHUP", () => {});
  return new Promise((resolve) => {
    let seen = false; // once for all of them: Ctrl-C and then `kill` mean "now", as two times Ctrl-C do
    for (const signal of ending) {
      process.on(signal, () => {
        if (seen) options.again();
        seen = true;
        resolve(signal);
      });
    }
  });
}

/** Whether we were started with a signal ignored. Unknown without /proc, and under Node, which forgets it: false. */
function isIgnored(signal: NodeJS.Signals): boolean {
  try {
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
    return (BigInt(`0x${mask}`) >> BigInt(constants.signals[signal] - 1) & 1n) === 1n;
  } catch {
    return false;
  }
}
