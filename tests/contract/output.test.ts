// The contract of a `Process`'s pipes: every byte, in order, to every reader, and never more than fits. How processes
// start and end is in processes.test.ts.
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Environment } from "../../src/environment.ts";
import type { Process, Processes, ProcessEvent } from "../../src/process/trait.ts";
import { exited, TERMINATED } from "../harness/exits.ts";
import { codeOf } from "../harness/code_of.ts";
import { environmentsAndJson, processTests } from "../harness/environments.ts";
import { bytesWritten, untilStill } from "../harness/proc.ts";
import { readAll, readEvents, readText } from "../harness/read_process.ts";
import { tempDir } from "../harness/temp.ts";

const MB = 1_000_000;
const sh = (script: string) => ["/bin/sh", "-c", script];
const bytes = (text: string) => new TextEncoder().encode(text);

/** The output of one stream among the events. */
function joined(events: readonly ProcessEvent[], stream: "stdout" | "stderr"): Buffer {
  return Buffer.concat(
    events.flatMap((event) => event.type === "output" && event.stream === stream ? [event.bytes] : []),
  );
}

/** Fails without printing megabytes. */
function assertSame(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assert.is(actual.length, expected.length, `${what}: length`);
  assert.ok(Buffer.compare(actual, expected) === 0, `${what}: the bytes differ`);
}

/** A file of bytes that no decoder leaves alone: all values, then random ones. */
function blob(size: number): { path: string; content: Buffer } {
  const path = join(tempDir(), "blob");
  const content = Buffer.concat([Uint8Array.from({ length: 256 }, (_, i) => i), randomBytes(size - 256)]);
  writeFileSync(path, content);
  return { path, content };
}

/** Registers the tests for one implementation. */
export function outputContract(name: string, open: () => Promise<Environment>): void {
  let processes: Processes;
  const it = processTests(name, open, (opened) => processes = opened);
  const start = (script: string, pipeStdin = false): Promise<Process> =>
    processes.start({ argv: sh(script), pipeStdin });

  it("keeps stdout and stderr apart, and every byte", async () => {
    const one = blob(3 * MB), two = blob(3 * MB);
    const started = await start(`cat ${one.path} & cat ${two.path} >&2; wait`);
    const [out, errors] = await Promise.all([readAll(started.stdout), readAll(started.stderr)]);
    assertSame(out, one.content, "stdout");
    assertSame(errors, two.content, "stderr");
    assert.equal(await started.wait(), exited(0));
  });

  it("counts the events without gaps, closed last, after exited", async () => {
    const { path, content } = blob(3 * MB);
    const events = await readEvents(await start(`cat ${path}; echo error >&2; exit 5`));
    assert.equal(events.map((event) => event.seq), events.map((_, i) => i + 1));
    assert.equal(events.filter((event) => event.type !== "output"), [
      { type: "exited", seq: events.length - 1, ...exited(5) },
      { type: "closed", seq: events.length },
    ]);
    assertSame(joined(events, "stdout"), content, "stdout");
    assert.is(joined(events, "stderr").toString(), "error\n");
  });

  it("tells of the exit after all that was printed before it", async () => {
    const runs = Array.from(
      { length: 60 },
      async () => await readEvents(await start("head -c 60000 /dev/zero; exit 3")),
    );
    for (const events of await Promise.all(runs)) {
      assert.is(joined(events, "stdout").length, 60_000);
      assert.equal(events.slice(-2).map((event) => event.type), ["exited", "closed"]);
    }
  });

  it("tells of the exit while a background child keeps the pipe", async () => {
    const gate = join(tempDir(), "gate");
    const started = await start(`mkfifo ${gate}; (read line < ${gate}; echo late) & echo early`);
    const seen: string[] = [];
    for await (const event of started.events()) {
      seen.push(event.type === "output" ? Buffer.from(event.bytes).toString() : event.type);
      if (event.type === "exited") await writeToFifo(gate); // not before: the child would be gone
    }
    assert.equal(seen, ["early\n", "exited", "late\n", "closed"]);
  });

  it("lets a process reopen its standard streams", async () => {
    const started = await start("echo out > /dev/stdout; echo error > /dev/stderr");
    const [out, errors] = await Promise.all([readText(started.stdout), readText(started.stderr)]);
    assert.equal([out, errors], ["out\n", "error\n"]);
    assert.equal(await started.wait(), exited(0));
  });

  it("ends a wait without a reader, however much is printed", async () => {
    const started = await start(`head -c ${5 * MB} /dev/zero; head -c ${5 * MB} /dev/zero >&2; exit 6`);
    assert.equal(await started.wait(), exited(6));
  });

  it("loses nothing when reading begins right after the wait", async () => {
    const { path, content } = blob(5 * MB);
    const pidFile = join(tempDir(), "pid");
    const started = await start(`echo $$ > ${pidFile}; exec cat ${path}`);
    await untilStill(() => bytesWritten(Number(readFileSync(pidFile, { encoding: "utf8", flag: "a+" }))));
    const ended = started.wait();
    assertSame(await readAll(started.stdout), content, "stdout");
    assert.equal(await ended, exited(0));
    const short = await start("echo short");
    const shortEnded = short.wait();
    assert.is(await readText(short.stdout), "short\n");
    assert.equal(await shortEnded, exited(0));
  });

  it("shows every reader everything", async () => {
    const { path, content } = blob(2 * MB);
    const started = await start(`cat ${path}; cat ${path} >&2`);
    const [first, second, out] = await Promise.all([
      readEvents(started),
      readEvents(started),
      readAll(started.stdout),
    ]);
    for (const events of [first, second]) {
      assert.equal(events.map((event) => event.seq), events.map((_, i) => i + 1));
      assertSame(joined(events, "stdout"), content, "stdout of a reader");
      assertSame(joined(events, "stderr"), content, "stderr of a reader");
    }
    assertSame(out, content, "stdout");
  });

  it("goes on without a reader that leaves", async () => {
    const started = await start(`head -c ${5 * MB} /dev/zero; exit 2`);
    for await (const event of started.events()) if (event.type === "output") break;
    assert.equal(await started.wait(), exited(2));
  });

  it("holds back a process whose reader is slow, and loses nothing", async () => {
    const rounds = 64;
    const progress = join(tempDir(), "progress");
    writeFileSync(progress, "0");
    const body = `head -c ${MB} /dev/zero; i=$((i+1)); echo $i > ${progress}`;
    const started = await start(`i=0; while [ $i -lt ${rounds} ]; do ${body}; done`);
    const reader = started.events()[Symbol.asyncIterator]();
    let size = 0;
    const take = ({ value }: IteratorResult<ProcessEvent, unknown>) => {
      if (isEvent(value) && value.type === "output") size += value.bytes.length;
    };
    take(await reader.next());
    const printed = () => Number(readFileSync(progress, "utf8"));
    await untilStill(printed);
    const bound = name === "local" ? 4 : 40; // with a server in between there are its and the sockets' buffers
    assert.ok(printed() < bound, `${printed()} MB were printed before anyone read`);
    for (let next = await reader.next(); !next.done; next = await reader.next()) take(next);
    assert.is(size, rounds * MB);
    assert.is(printed(), rounds);
  });

  it("passes input on to its end", async () => {
    const content = randomBytes(5 * MB);
    const started = await processes.start({ argv: ["cat"], pipeStdin: true });
    const out = readAll(started.stdout);
    const writer = started.stdin.getWriter();
    for (let at = 0; at < content.length; at += 700_001) {
      await writer.write(content.subarray(at, at + 700_001));
    }
    await writer.close();
    assertSame(await out, content, "what came back");
    assert.equal(await started.wait(), exited(0));
  });

  it("answers input line by line", async () => {
    const started = await start("while read line; do echo got $line; done; echo end", true);
    const output = started.stdout[Symbol.asyncIterator]();
    const writer = started.stdin.getWriter();
    for (const word of ["one", "two"]) {
      await writer.write(bytes(`${word}\n`));
      assert.is(Buffer.from((await output.next()).value ?? []).toString(), `got ${word}\n`);
    }
    await writer.close();
    assert.is(Buffer.from((await output.next()).value ?? []).toString(), "end\n");
    assert.equal(await started.wait(), exited(0));
  });

  it("gives no input unless asked for a pipe", async () => {
    const started = await processes.start({ argv: ["cat"] });
    assert.equal(await started.wait(), exited(0));
    assert.is(await codeOf(writeAndClose(await start("sleep 1000"), "x")), "EPIPE");
  });

  it("refuses input after the exit", async () => {
    const started = await start("exit 0", true);
    assert.equal(await started.wait(), exited(0));
    assert.is(await codeOf(writeAndClose(started, "x")), "EPIPE");
  });

  it("ends although its input is not read", async () => {
    const started = await start("exec 0<&-; echo ready; exit 8", true);
    const writing = codeOf(writeAndClose(started, "x".repeat(3 * MB)));
    assert.is((await started.wait()).exitCode, 8); // terminated by `writeAndClose`, or not any more
    assert.is(await writing, "EPIPE");
  });

  it("can be terminated while its input waits", async () => {
    const started = await start("sleep 1000", true);
    const writing = codeOf(writeAndClose(started, "x".repeat(8 * MB)));
    assert.is((await started.terminate()).wasRunning, true);
    assert.equal(await started.wait(), TERMINATED);
    assert.is(await writing, "EPIPE");
  });
}

async function writeAndClose(started: Process, text: string): Promise<void> {
  try {
    const writer = started.stdin.getWriter();
    writer.closed.catch(() => {}); // told below
    await writer.write(bytes(text));
    await writer.close();
  } finally {
    await started.terminate();
  }
}

async function writeToFifo(path: string): Promise<void> {
  const { writeFile } = await import("node:fs/promises");
  await writeFile(path, "go\n");
}

function isEvent(value: unknown): value is ProcessEvent {
  return typeof value === "object" && value !== null && "type" in value;
}

for (const [name, open] of environmentsAndJson) outputContract(name, open);

test.run();
