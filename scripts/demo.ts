/**
 * `npm run demo`: compiles, starts the server, runs `git log --oneline` of this repository through it and directly,
 * and compares what came out byte for byte. Exits with 0 when it is the same.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { join, relative, resolve } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { compile, EXECUTABLE } from "./compile.ts";

const ROOT = resolve(fileURLToPath(new URL("..", import.meta.url)));
const RUN_LIMIT_MS = 60_000;
const START_LIMIT_MS = 10_000;
const STOP_LIMIT_MS = 5_000;
/** `git log` of a very large repository still fits. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

interface Outcome {
  readonly code: number | null;
  readonly stdout: Uint8Array;
  readonly problem: string;
}

process.exitCode = await demo();

async function demo(): Promise<number> {
  console.log("Compiling the executable …");
  await compile();
  show([EXECUTABLE, "serve"]);
  const server = spawn(EXECUTABLE, ["serve"], { stdio: ["ignore", "pipe", "inherit"] });
  process.once("exit", () => server.kill("SIGKILL")); // whatever ends us: no server is left behind
  try {
    const url = await firstLine(server);
    console.log(`  ${url}`);
    const command = realCommand();
    process.env["EXEC_SERVER_URL"] = url; // not an argument: everyone can read those
    const there = run([EXECUTABLE, "run", "--", ...command]);
    const here = run(command);
    return verdict(there, here);
  } catch (error) {
    console.log(error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    await stop(server);
  }
}

/** Something with real output: the history, or outside of a git checkout the checksum of a file. */
function realCommand(): string[] {
  const inGit = spawnSync("git", ["-C", ROOT, "rev-parse", "--verify", "--quiet", "HEAD"]).status === 0;
  return inGit ? ["git", "-C", ROOT, "log", "--oneline"] : ["cksum", join(ROOT, "package-lock.json")];
}

function run(command: readonly string[]): Outcome {
  show(command);
  const [program = "", ...args] = command;
  const done = spawnSync(program, args, {
    timeout: RUN_LIMIT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const outcome = {
    code: done.status,
    stdout: done.stdout,
    problem: done.error?.message ?? done.stderr.toString().trim(),
  };
  const sha256 = createHash("sha256").update(outcome.stdout).digest("hex").slice(0, 16);
  console.log(`  exit code ${outcome.code}, ${outcome.stdout.length} bytes, SHA-256 ${sha256}…`);
  return outcome;
}

function verdict(there: Outcome, here: Outcome): number {
  const isSame = there.code === here.code && Buffer.compare(there.stdout, here.stdout) === 0;
  if (isSame && here.code === 0 && here.stdout.length > 0) {
    console.log("The same, byte for byte.");
    return 0;
  }
  for (const { problem } of [there, here]) if (problem !== "") console.log(problem);
  console.log(isSame ? "The command itself failed." : "NOT the same.");
  return 1;
}

function show(command: readonly string[]): void {
  console.log(
    `$ ${command.map((word) => word === EXECUTABLE ? relative(ROOT, EXECUTABLE) : word).join(" ")}`,
  );
}

async function firstLine(server: ChildProcess): Promise<string> {
  if (!server.stdout) throw new Error("unreachable: the server was started with a pipe");
  const timer = setTimeout(() => server.kill("SIGKILL"), START_LIMIT_MS);
  try {
    for await (const line of createInterface(server.stdout)) return line;
  } finally {
    clearTimeout(timer);
  }
  throw new Error("the server printed no URL");
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once("exit", resolve));
  const timer = setTimeout(() => server.kill("SIGKILL"), STOP_LIMIT_MS);
  server.kill("SIGTERM");
  await ended;
  clearTimeout(timer);
}
