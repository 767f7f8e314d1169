// The writer of terminals, against a kernel that takes as much as the test wants; and what makes a start fail.
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { spawnTerminal, type TerminalOptions } from "../../src/runtime/terminal.ts";
import { terminalSink } from "../../src/runtime/terminal_sink.ts";
import { codeOf } from "../harness/code_of.ts";
import { tempDir } from "../harness/temp.ts";

const bytes = (...values: number[]) => new Uint8Array(values);

test("writes keep their order over short writes and a full terminal", async () => {
  const taken: number[] = [];
  const room = [2, 0, 1, 0, 0, 3];
  const sink = terminalSink((offered) => {
    const count = Math.min(room.shift() ?? offered.length, offered.length);
    taken.push(...offered.subarray(0, count));
    return count;
  });
  await Promise.all([sink.write(bytes(1, 2, 3)), sink.write(bytes(4, 5)), sink.write(bytes(6))]);
  assert.equal(taken, [1, 2, 3, 4, 5, 6]);
});

test("giving up ends what is pending, at once, and nothing more is written", async () => {
  let taken = 0;
  const sink = terminalSink((offered) => taken === 0 ? taken = Math.min(1, offered.length) : 0);
  const pending = [codeOf(sink.write(bytes(1, 2))), codeOf(sink.write(bytes(3)))];
  await new Promise((resolve) => setTimeout(resolve, 100)); // now it waits for its next try
  sink.destroy();
  const turn = new Promise((resolve) => setImmediate(() => resolve("still pending")));
  assert.equal(await Promise.race([Promise.all(pending), turn]), ["EPIPE", "EPIPE"]);
  assert.is(await codeOf(sink.write(bytes(4))), "EPIPE");
  assert.is(taken, 1);
});

test("one failed write does not stop the next", async () => {
  let calls = 0;
  const sink = terminalSink((offered) => {
    if (calls++ === 0) throw Object.assign(new Error("once"), { code: "EIO" });
    return offered.length;
  });
  assert.equal(await Promise.all([codeOf(sink.write(bytes(1))), sink.write(bytes(2))]), ["EIO", undefined]);
});

test("what cannot start says why, as a POSIX code", async () => {
  const folder = tempDir();
  const file = (name: string, text: string, mode: number) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };
  const start = (path: string, more: Partial<TerminalOptions> = {}) =>
    codeOf(
      spawnTerminal({ file: path, argv: [path], cwd: "/", env: {}, size: { rows: 24, cols: 80 }, ...more }),
    );
  assert.is(await start("/no/such"), "ENOENT");
  assert.is(await start("/bin/true", { cwd: "/no/such" }), "ENOENT");
  assert.is(await start("/bin/true", { cwd: process.execPath }), "ENOTDIR");
  assert.is(await start(file("plain", "#!/bin/sh\n", 0o644)), "EACCES");
  assert.is(await start(file("script", "echo hello\n", 0o755)), "ENOEXEC");
  assert.is(await start(file("interpreter", "#!/no/sh\n", 0o755)), "ENOENT");
  assert.is(await start("/bin/true", { argv: ["true", "x".repeat(200_000)] }), "E2BIG");
  assert.is(await start("/bin/true", { argv: ["true", "a\0b"] }), "EINVAL");
});

test.run();
