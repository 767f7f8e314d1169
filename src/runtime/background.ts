/** A program that is started for this program's own sake and does not keep it from ending. */
import { runtime } from "./detect.ts";

/** What to run, from `/`, in a session of its own, without any output. */
export interface BackgroundOptions {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** A program in the background. Its standard input ends when we do, however that happens: nobody inherits our end. */
export interface Background {
  readonly pid: number;
  /** Resolves when it has been reaped. */
  readonly exited: Promise<void>;
  /** Hands over text without waiting. False when it cannot take it: it has ended, or has not read for long. */
  say(text: string): boolean;
  /** The last text, then end-of-file. */
  end(text: string): void;
}

/** Starts a program in the background. Its pid is in `ownedChildren` until it has been reaped. */
export async function spawnBackground(options: BackgroundOptions): Promise<Background> {
  if (runtime === "bun") return (await import("./background_bun.ts")).spawnBackgroundBun(options);
  return (await import("./background_node.ts")).spawnBackgroundNode(options);
}
