/** Commands over the shared connection of ssh. */
import { Buffer } from "node:buffer";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Open } from "../workload.ts";
import { sshOf } from "../workload.ts";
import type { Ssh } from "./ssh.ts";

const INPUT_BYTES = 64 * 1024;

/** Runs a command; returns the bytes it has printed. @throws when it fails */
export function sshRun(ssh: Ssh, command: readonly string[]): Promise<number> {
  const child = ssh.spawn(["-n"], command, { stdio: ["ignore", "pipe", "ignore"] });
  let bytes = 0;
  child.stdout?.on("data", (chunk: Buffer) => bytes += chunk.length);
  return succeeded(child).then(() => bytes);
}

/** Sends so many bytes to a command's standard input and waits for its end. @throws when it fails */
export async function sshFeed(ssh: Ssh, command: readonly string[], bytes: number): Promise<void> {
  const child = ssh.spawn([], command, { stdio: ["pipe", "ignore", "ignore"] });
  const done = succeeded(child);
  const { stdin } = child;
  stdin?.on("error", () => {}); // its exit code says why
  const block = Buffer.alloc(INPUT_BYTES);
  for (let left = bytes; stdin && left > 0; left -= block.length) {
    if (stdin.write(block)) continue;
    await Promise.race([new Promise((resolve) => stdin.once("drain", resolve)), done]);
  }
  stdin?.end();
  await done;
}

/** A contender with an sftp that stays open; `round` gets a function that resolves when a command is done. */
export function overSftp(
  round: (command: (line: string) => Promise<void>) => Promise<Record<string, number>>,
): Open {
  return (scene) => {
    const sftp = sshOf(scene).sftp();
    const ended = new Promise<void>((resolve) => sftp.once("close", () => resolve()));
    const failed = ended.then((): never => {
      throw new Error("sftp has ended");
    });
    failed.catch(() => {}); // seen by whoever waits for a command
    const waiting: (() => void)[] = [];
    if (!sftp.stdout) throw new Error("unreachable: sftp was started with a pipe");
    createInterface(sftp.stdout).on("line", (line) => {
      if (line.startsWith("Remote working directory")) waiting.shift()?.();
    });
    const command = (line: string) => {
      sftp.stdin?.write(`${line}\npwd\n`); // only pwd says that it is done
      return Promise.race([new Promise<void>((resolve) => waiting.push(resolve)), failed]);
    };
    return Promise.resolve({
      round: () => round(command),
      async close() {
        sftp.stdin?.end();
        sftp.kill("SIGKILL");
        await ended;
      },
    });
  };
}

/** Waits for the end of a child that exits with 0. @throws otherwise */
export function succeeded(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once(
      "close",
      (code, signal) => code === 0 ? resolve() : reject(new Error(`ssh ended with ${code ?? signal}`)),
    );
  });
}
