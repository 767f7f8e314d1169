/** Process trees that are hard to kill, and four ways to kill them, against any server that speaks the wire. */
import process from "node:process";
import { openRawClient, type RawClient } from "../session/raw_client.ts";
import { isRunning } from "./proc.ts";
import type { TestServer } from "./server.ts";

/** A tree: its script prints the ids of its processes, one a line. */
export interface Tree {
  readonly name: string;
  readonly script: string;
  /** How many ids. */
  readonly size: number;
}

const FORKS = 200;

/** The trees. `sleep 999` as the last command makes the leader stay. */
export const TREES: readonly Tree[] = [
  {
    name: "setsid, an orphan and a plain child",
    script: "setsid sleep 999 & echo $!; (sleep 999 & echo $!); echo $$; sleep 999",
    size: 3,
  },
  {
    name: `a fork tree of ${FORKS}, three levels, a third of it in sessions of their own`,
    script: `i=0; while [ $i -lt ${FORKS / 4} ]; do i=$((i+1)); ` +
      `sh -c 'sleep 999 & echo $!; setsid sleep 999 & echo $!; sh -c "echo \\$\\$; exec sleep 999" & ` +
      `echo $$; wait' & done; wait`,
    size: FORKS,
  },
];

/** The same without any trace of where it came from: no parent, no session, no variable. */
export const TRACELESS: Tree = {
  name: "an orphan in a session of its own with an empty environment",
  script: "(setsid env -i sh -c 'echo $$; exec sleep 999' &); echo $$; sleep 999",
  size: 2,
};

/** Ways to end a tree. */
export const WAYS = ["terminate", "expiry", "SIGTERM", "SIGKILL"] as const;
/** A way to end a tree. */
export type Way = typeof WAYS[number];

/** How long is looked for survivors before they are counted, in ms. */
export const WITHIN_MS = 1_000;

/** A tree that runs. */
export interface GrownTree {
  readonly pids: readonly number[];
  readonly client: RawClient;
}

/** Starts a tree in a session of its own and waits until all of it runs. */
export async function growTree(server: TestServer, tree: Tree): Promise<GrownTree> {
  let text = "";
  let grown: () => void = () => {};
  const done = new Promise<void>((resolve) => grown = resolve);
  const lines = () => text.split("\n").slice(0, -1).map(Number);
  const client = await openRawClient(server.url, {
    onEvent(event) {
      if (event.type === "output") text += event.bytes.toString();
      if (lines().length >= tree.size) grown();
    },
  });
  await client.start("tree", ["/bin/sh", "-c", tree.script]);
  await done;
  return { pids: lines(), client };
}

/**
 * Ends a tree; returns how many of it still run after a second, and after how many ms none did.
 * @param ttlMs how long the server keeps a session without a connection
 */
export async function cutDown(
  server: TestServer,
  { pids, client }: GrownTree,
  way: Way,
  ttlMs: number,
): Promise<{ readonly left: number; readonly ms: number }> {
  const from = performance.now();
  let begun = from;
  switch (way) {
    case "terminate":
      await client.call("process/terminate", { processId: "tree" });
      break;
    case "expiry":
      await client.terminate();
      begun += ttlMs;
      break;
    default:
      process.kill(server.pid, way);
      if (way === "SIGTERM") await server.exited;
  }
  const running = () => pids.filter(isRunning);
  while (performance.now() < begun + WITHIN_MS && running().length > 0) {
    await new Promise((wake) => setTimeout(wake, 5));
  }
  const result = { left: running().length, ms: Math.max(0, performance.now() - begun) };
  for (const pid of running()) process.kill(pid, "SIGKILL"); // what a server has left
  await client.terminate();
  return result;
}
