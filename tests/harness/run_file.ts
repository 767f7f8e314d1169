import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { atExit } from "./at_exit.ts";
import { findLeaks, watchFamily } from "./leaks.ts";

const LIMIT_MS = 300_000;
/** uvu has printed its summary; what keeps the process alive now was forgotten by a test. */
const LINGER_MS = 10_000;
const KILL_AFTER_MS = 10_000;

/** The result of one test file. */
export interface FileResult {
  passed: number;
  failed: number;
  /** Everything it printed, and what is to be said about its end. */
  output: string;
}

/** Where servers of a test keep what outlives them: not in the home of whoever runs the tests, and not in TMPDIR. */
const STATES = fileURLToPath(new URL("../../dist/", import.meta.url));

/** Runs one uvu file in a process of its own, with a private TMPDIR, and looks for what it leaves behind. */
export async function runFile(file: string, environment: Record<string, string>): Promise<FileResult> {
  const mark = randomUUID();
  const temp = mkdtempSync(join(tmpdir(), "est-")); // short: socket paths have to fit below it
  mkdirSync(STATES, { recursive: true });
  const state = mkdtempSync(join(STATES, "test-state-"));
  const child = spawn(process.execPath, [...process.execArgv, file], {
    detached: true,
    env: {
      ...process.env,
      FORCE_COLOR: "0",
      ...environment,
      TMPDIR: temp,
      XDG_STATE_HOME: state,
      XDG_RUNTIME_DIR: state,
      EXEC_SERVER_TEST_MARK: mark,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const pid = child.pid ?? 0;
  const family = watchFamily(pid);
  const clean = () => {
    signal(-pid, "SIGKILL");
    for (const folder of [temp, state]) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  atExit(clean);

  const complaints: string[] = [];
  const timers: NodeJS.Timeout[] = [];
  const end = (why: string) => {
    complaints.push(why);
    signal(pid, "SIGTERM"); // lets the harness stop its servers
    timers.push(setTimeout(() => signal(-pid, "SIGKILL"), KILL_AFTER_MS));
  };
  timers.push(setTimeout(() => end(`took more than ${LIMIT_MS / 1000} s`), LIMIT_MS));
  let output = "";
  let summed = false;
  const take = (text: string) => {
    output += text;
    if (summed || !/^ {2}Skipped: +\d+$/m.test(output)) return;
    summed = true;
    timers.push(setTimeout(() => end("did not end after its last test: something is still open"), LINGER_MS));
  };
  child.stdout.setEncoding("utf8").on("data", take);
  child.stderr.setEncoding("utf8").on("data", take);
  const ended = await new Promise<string>((ok) => {
    child.once("error", (error) => ok(String(error)));
    // Not "close": a leaked process may hold the pipes for ever.
    child.once(
      "exit",
      (code, by) => ok(code === 0 ? "" : by === null ? `exit code ${code}` : `died by ${by}`),
    );
  });
  await drained([child.stdout, child.stderr]);
  for (const timer of timers) clearTimeout(timer);

  const leaks = await findLeaks({ mark, temp, family });
  clean();
  const count = (name: string) => Number(new RegExp(`^ {2}${name}: +(\\d+)$`, "m").exec(output)?.[1] ?? 0);
  const passed = count("Passed");
  const failed = Math.max(0, count("Total") - passed - count("Skipped"));
  const crashed = complaints.length > 0 || (ended !== "" && failed === 0) || !summed;
  if (crashed) complaints.push(ended === "" ? "no summary" : ended);
  const said = [...complaints, ...leaks].map((text) => `${file}: ${text}\n`).join("");
  return { passed, failed: failed + (crashed ? 1 : 0) + leaks.length, output: output + said };
}

/** What is already in the pipes when the process has ended arrives before this resolves. */
async function drained(streams: NodeJS.ReadableStream[]): Promise<void> {
  const ended = Promise.all(
    streams.map((stream) => stream.readable ? new Promise((ok) => stream.once("end", ok)) : null),
  );
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([ended, new Promise((ok) => timer = setTimeout(ok, 1_000))]);
  clearTimeout(timer);
}

function signal(pid: number, name: NodeJS.Signals): void {
  if (Math.abs(pid) < 2) return;
  try {
    process.kill(pid, name);
  } catch {
    // it has ended
  }
}
