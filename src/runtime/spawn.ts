import type { Child, SpawnOptions } from "./child.ts";
import { runtime } from "./detect.ts";

// Loaded on demand: each runtime loads only its own way to spawn.
const load: () => Promise<(options: SpawnOptions) => Child | Promise<Child>> = runtime === "bun"
  ? async () => (await import("./spawn_bun.ts")).spawnBun
  : async () => (await import("./spawn_node.ts")).spawnNode;

let implementation: ((options: SpawnOptions) => Child | Promise<Child>) | undefined;

/**
 * Starts a child in a session and process group of its own.
 * @throws an error with a POSIX `code` (`E2BIG`, `EAGAIN`, `EACCES`, `ENOEXEC` …) when the kernel refuses
 */
export async function spawnChild(options: SpawnOptions): Promise<Child> {
  implementation ??= await load();
  return await implementation(options);
}
