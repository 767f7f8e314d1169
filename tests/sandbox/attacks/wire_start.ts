// Starts programs through a server, ours or the reference: `sandbox` on process/start.
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { programUnderTest, register, send } from "../../harness/program.ts";
import { reachableProgram } from "../../harness/reachable.ts";
import { connectWire, isObject, type JsonObject } from "../../harness/wire_client.ts";
import type { Start } from "./attack.ts";
import { giveTo, type Scene } from "./scene.ts";
import { wireSandbox } from "./wire_policy.ts";

const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 5_000;

/** A server that runs as the scene's user, with a secret in its environment. */
export interface AttackServer {
  readonly url: string;
  readonly pid: number;
  readonly start: Start;
  stop(): Promise<void>;
}

/** Which server, and what to add to each start. */
export interface AttackServerOptions {
  /** The real codex at this path instead of the program under test. */
  readonly codex?: string;
  /** After `serve`, such as a cgroup or a place for the journal. */
  readonly args?: readonly string[];
  /** More members of process/start, such as limits. */
  readonly more?: JsonObject;
  /** False: no sandbox is asked for. */
  readonly sandboxed?: boolean;
}

/** The program under test, where this user can start it. */
function ours(uid: number): [program: string, before: string[]] {
  return uid === process.getuid?.() ? programUnderTest() : [reachableProgram(), []];
}

/** Starts a server as the scene's user and connects to it. */
export async function startAttackServer(
  scene: Scene,
  options: AttackServerOptions = {},
): Promise<AttackServer> {
  const home = join(scene.run, "server-home");
  mkdirSync(home, { recursive: true });
  giveTo(scene.uid, home);
  const [program, before] = options.codex === undefined ? ours(scene.uid) : [options.codex, []];
  const listen = ["--listen", "ws://127.0.0.1:0"];
  const args = [
    ...before,
    options.codex === undefined ? "serve" : "exec-server",
    ...(options.args ?? []),
    ...listen,
  ];
  const child = spawn(program, args, {
    ...(process.getuid?.() === 0 ? { uid: scene.uid, gid: scene.uid } : {}),
    cwd: "/",
    detached: true,
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      HOME: home,
      CODEX_HOME: home,
      SERVER_SECRET: scene.token,
      EXEC_SERVER_TEST_MARK: process.env["EXEC_SERVER_TEST_MARK"] ?? "none",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const pid = child.pid ?? 0;
  if (pid > 0) register(pid, child);
  const ended = new Promise<void>((ok) => {
    child.once("exit", () => ok());
    child.once("error", () => ok());
  });
  let out = "", said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => said += text);
  const url = await new Promise<string>((ok, fail) => {
    const why = (what: string) => new Error(`${program}: ${what}\n${out}${said}`);
    const timer = setTimeout(() => fail(why("no URL")), START_LIMIT_MS);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      const line = /^(ws:\S+)$/m.exec(out)?.[1];
      if (line === undefined) return;
      clearTimeout(timer);
      ok(line);
    });
    ended.then(() => {
      clearTimeout(timer);
      fail(why("it ended"));
    });
  }).catch((error: unknown) => {
    send(-pid, "SIGKILL");
    throw error;
  });
  const client = await connectWire(url);
  let last = 0;
  return {
    url,
    pid,
    async start(argv, { tty, policy, cwd }) {
      const processId = `attack-${++last}`;
      const mine = (message: JsonObject, method: string) =>
        message["method"] === method && isObject(message["params"]) &&
        message["params"]["processId"] === processId;
      const sandbox = options.sandboxed === false ? {} : { sandbox: wireSandbox(policy, cwd) };
      await client.call("process/start", {
        processId,
        argv,
        cwd: pathToFileURL(cwd).href,
        env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LANG: "C.UTF-8", TERM: "xterm" },
        tty,
        ...sandbox,
        ...options.more,
      });
      return {
        ended: client.waitFor((message) => mine(message, "process/closed"), { timeoutMs: 120_000 }).then(
          () => ({
            output: client.notifications.flatMap(({ method, params }) =>
              method === "process/output" && params["processId"] === processId
                ? [Buffer.from(String(params["chunk"]), "base64").toString("latin1")]
                : []
            ).join(""),
            how: client.notifications.filter(({ method, params }) =>
              method === "process/exited" && params["processId"] === processId
            ).map(({ params }) => `code ${params["exitCode"]}`).join(),
          }),
        ),
        kill: () => void client.call("process/terminate", { processId }).catch(() => {}),
      };
    },
    async stop() {
      await client.close();
      send(pid, "SIGTERM");
      const timer = setTimeout(() => send(-pid, "SIGKILL"), STOP_LIMIT_MS);
      await ended;
      clearTimeout(timer);
      send(-pid, "SIGKILL"); // what it left in its own group
    },
  };
}
