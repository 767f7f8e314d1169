import process from "node:process";
import * as v from "valibot";
import { isRunning } from "./proc.ts";
import { runServer, startServer } from "./server.ts";
import { tempDir } from "./temp.ts";
import type { Recorded } from "./transcript.ts";

const Argv = v.object({ $argv: v.array(v.string()) });
const Kill = v.object({ $kill: v.picklist(["SIGTERM", "SIGKILL"]) });
const SETTLED_MS = 3_000;

/** Starts the program with the recorded arguments, or ends it by the recorded signal. */
export async function replayStartup(record: Recorded): Promise<unknown[]> {
  const kill = v.safeParse(Kill, record.send[0]);
  if (kill.success) return await replaySignal(kill.output.$kill);
  const args = v.parse(Argv, record.send[0]).$argv.map((arg) => arg.replace("<port>", "0"));
  const runs = record.recv.some((item) => v.is(v.object({ $exit: v.literal("still running") }), item));
  if (runs) {
    const server = await startServer({ args });
    const { signal } = await server.stop();
    if (signal === "SIGKILL") throw new Error("the server had to be killed");
    return [{ $exit: "still running", stdout: server.stdout(), stderr: server.stderr() }];
  }
  const { code, signal, stdout, stderr } = await runServer({ args });
  // The original adds a stack trace or a hint about its usage.
  return [{
    $exit: { code, signal },
    stdout,
    stderr: stderr.split("\n")[0] ?? "",
  }];
}

/** Which of a server's children outlive its end. */
async function replaySignal(signal: "SIGTERM" | "SIGKILL"): Promise<unknown[]> {
  // A killed server cannot remove its temporary files.
  const server = await startServer({ env: { TMPDIR: tempDir() } });
  const client = await server.connect();
  const started: number[] = [];
  try {
    const printed = async (id: string, script: string) => {
      await client.startProcess(id, ["/bin/sh", "-c", script]);
      const message = await client.waitFor((m) => v.is(Output, m) && m.params.processId === id);
      return atob(v.parse(Output, message).params.chunk).trim().split(" ").map(Number);
    };
    const [stubborn = 0, background = 0] = await printed(
      "stubborn",
      'trap "" TERM; sleep 61 & echo $$ $!; while :; do sleep 0.1; done',
    );
    const [leader = 0, setsid = 0] = await printed(
      "setsid",
      "setsid sh -c 'echo $PPID $$; exec sleep 62' & exec sleep 63",
    );
    const [plain = 0] = await printed("plain", "echo $$; exec sleep 64");
    started.push(stubborn, background, setsid, leader, plain);
    const pids = Object.entries({
      "child that ignores TERM": stubborn,
      "its background child": background,
      "its setsid child": setsid,
      "plain child": plain,
    });
    const exit = await server.stop(signal);
    const { code, reason } = await client.closed;
    await dead(started, SETTLED_MS);
    return [reason === "" ? { $close: code } : { $close: code, reason }, {
      $exit: exit,
      $alive: Object.fromEntries(pids.map(([name, pid]) => [name, isRunning(pid)])),
    }];
  } finally {
    await server.stop("SIGKILL");
    for (const pid of started) if (pid > 1 && isRunning(pid)) process.kill(pid, "SIGKILL");
  }
}

const Output = v.object({
  method: v.literal("process/output"),
  params: v.object({ processId: v.string(), chunk: v.string() }),
});

/** The end of somebody else's child gives no event. */
async function dead(pids: number[], limitMs: number): Promise<void> {
  const until = Date.now() + limitMs;
  while (pids.some(isRunning) && Date.now() < until) await new Promise((ok) => setTimeout(ok, 20));
}
