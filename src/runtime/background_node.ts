/** Background programs under Node and Deno. */
import { spawn } from "node:child_process";
import type { Background, BackgroundOptions } from "./background.ts";
import { ownedChildren } from "./owned_children.ts";

/** Text that may wait to be taken, in bytes. */
const MAX_WAITING = 64 * 1024;

/** Starts a program in the background. */
export async function spawnBackgroundNode({ file, args, env }: BackgroundOptions): Promise<Background> {
  const child = spawn(file, args, { cwd: "/", detached: true, env, stdio: ["pipe", "ignore", "ignore"] });
  const { stdin } = child;
  stdin.on("error", () => {}); // EPIPE: it has ended
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  child.on("error", () => {});
  const { pid } = child;
  if (pid === undefined) throw new Error("unreachable: a spawned child has a pid");
  ownedChildren.add(pid);
  child.unref();
  if ("unref" in stdin && typeof stdin.unref === "function") stdin.unref();
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => {
      ownedChildren.delete(pid);
      resolve();
    });
  });
  return {
    pid,
    exited,
    say(text) {
      if (!stdin.writable || stdin.writableLength > MAX_WAITING) return false;
      stdin.write(text);
      return true;
    },
    end: (text) => void stdin.end(text),
  };
}
