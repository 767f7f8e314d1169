// The file of an audit log: rotation, a disk that is full, a flood; and what --audit-argv does not show.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, renameSync, rmdirSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Audit, openAudit } from "../../src/server/audit.ts";
import { MAX_HELD_BYTES, openAuditFile } from "../../src/server/audit_file.ts";
import { shownArgv } from "../../src/server/audit_redact.ts";
import { codeOf } from "../harness/code_of.ts";
import { until } from "../harness/proc.ts";
import { programUnderTest, register } from "../harness/program.ts";
import { startServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { connectWire, WireError } from "../harness/wire_client.ts";
import { auditLines, linesOf } from "./audit_lines.ts";

const STARTED = { event: "server.started", version: "0", pid: 1, uid: 0 } as const;

async function openLog(path: string, onFailure: "refuse" | "continue" = "refuse"): Promise<Audit> {
  return await openAudit({ path, fullArgv: false, onFailure, secrets: [], log: () => {} }, STARTED);
}

async function messageOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => "it was done",
    (error: unknown) => error instanceof WireError ? error.message : "?",
  );
}

test("renamed, the next line goes to a new file; copied and truncated, to the same one", async () => {
  const log = join(tempDir(), "audit.log");
  const server = await startServer({ args: ["--audit-log", log] });
  try {
    const client = await server.connect();
    await until("the session is recorded", () => linesOf(log, "session.opened").length === 1);
    renameSync(log, `${log}.1`);
    await client.startProcess("a", ["true"]);
    await client.collect("a");
    const isInNewFile = () => existsSync(log) && linesOf(log, "process.exit").length === 1;
    await until("the process is in the new file", isInNewFile);
    copyFileSync(log, `${log}.2`);
    truncateSync(log);
    await client.startProcess("b", ["true"]);
    await client.collect("b");
    await until("the process is recorded", () => linesOf(log, "process.exit").length === 1);
  } finally {
    await server.stop();
  }
  const all = [`${log}.1`, `${log}.2`, log].flatMap(auditLines);
  assert.equal(all.map(({ seq }) => seq), all.map((_, index) => index + 1));
  assert.is(linesOf(log, "process.start")[0]?.["process"], "b");
});

test("a log that was removed and cannot be made again refuses what it could not record, until it can", async () => {
  const log = join(tempDir(), "audit.log");
  const server = await startServer({ args: ["--audit-log", log] });
  try {
    const client = await server.connect();
    await client.startProcess("before", ["cat"], { pipeStdin: true });
    await until("it is recorded", () => linesOf(log, "process.start").length === 1);
    rmSync(log);
    mkdirSync(log);
    await client.call("fs/createDirectory", { path: `file://${log}/late` }); // nobody waits for its line
    await until("it is noticed", () => server.stderr().includes("the audit log cannot be written"));
    const text =
      "the audit log cannot be written (EISDIR): make room or repair it, or serve with --audit-failure continue";
    assert.is(await messageOf(client.startProcess("p", ["true"])), text);
    for (const path of [`file://${log}/x`]) {
      assert.is(await messageOf(client.call("fs/writeFile", { path, dataBase64: "" })), text);
      assert.is(await messageOf(client.call("fs/remove", { path })), text);
      assert.is(await messageOf(client.call("fs/open", { handleId: "x", path, mode: "replace" })), text);
    }
    await client.call("fs/readDirectory", { path: `file://${log}` });
    await client.call("process/write", { processId: "before", chunk: "aGkK", writeId: "1" });
    await client.call("process/closeStdin", { processId: "before" });
    assert.is((await client.collect("before")).stdout, "hi\n");
    rmdirSync(join(log, "late"));
    rmdirSync(log);
    await until("it is written again", () => server.stderr().includes("the audit log is written again"));
    await client.startProcess("after", ["true"]);
    await client.collect("after");
  } finally {
    await server.stop();
  }
  const lines = auditLines(log);
  assert.equal(lines.map(({ seq }) => seq), lines.map((_, index) => index + (lines[0]?.seq ?? 0)));
  assert.equal(
    linesOf(log, "request.refused").map((l) => [l["method"], l["code"]]),
    ["process/start", "fs/writeFile", "fs/remove", "fs/open"].map((method) => [method, "AUDIT_FAILED"]),
  );
  assert.equal(linesOf(log, "process.exit").map((l) => l["process"]), ["before", "after"]);
});

test("--audit-failure continue goes on without, and says so", async () => {
  const server = await startServer({ args: ["--audit-log", "/dev/full", "--audit-failure", "continue"] });
  try {
    const client = await server.connect();
    await client.startProcess("p", ["echo", "x"]);
    assert.is((await client.collect("p")).stdout, "x\n");
    assert.match(
      server.stderr(),
      / warn the audit log cannot be written path="\/dev\/full" problem="ENOSPC"\n/,
    );
  } finally {
    assert.equal(await server.stop(), { code: 0, signal: null });
  }
});

test("a disk that is full: starts are refused until there is room again; no line is torn or lost", async () => {
  const folder = tempDir();
  const [program, before] = programUnderTest();
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const script = 'mount -t tmpfs -o size=64k audit "$1" && cd "$1" && shift && exec "$@"';
  const serve = [program, ...before, "serve", "--audit-log", join(folder, "audit.log")];
  const mounted: ChildProcess = spawn(
    "unshare",
    [...asRoot, "--mount", "--", "sh", "-c", script, "sh", folder, ...serve],
    { stdio: ["ignore", "pipe", "pipe"], detached: true },
  );
  register(mounted.pid ?? 0, mounted);
  let out = "", err = "";
  mounted.stdout?.on("data", (text) => out += String(text));
  mounted.stderr?.on("data", (text) => err += String(text));
  await until("it listens", () => out.includes("\n") || mounted.exitCode !== null);
  const client = await connectWire(out.trim());
  const cwd = `file://${folder}`;
  // It lives in the mount, and does what the client cannot ask for any more.
  const helper = "head -c 1M /dev/zero > fill; echo full; read x; rm fill; echo free; read x; cat audit.log";
  await client.startProcess("helper", ["/bin/sh", "-c", helper], { cwd, pipeStdin: true });
  const said = () =>
    client.notifications.filter(({ method }) => method === "process/output").map(({ params }) =>
      Buffer.from(String(params["chunk"]), "base64").toString()
    ).join("");
  await until("the disk is full", () => said().includes("full\n"));
  // What fits into the last block is still written.
  for (let n = 0; !err.includes("cannot be written"); n++) {
    await client.call("fs/createDirectory", { path: `${cwd}/d${n}` }).catch(() => {});
  }
  assert.match(
    await messageOf(client.startProcess("p", ["true"])),
    "the audit log cannot be written (ENOSPC)",
  );
  await client.call("process/write", { processId: "helper", chunk: "Cg==", writeId: "1" });
  await until("it is written again", () => err.includes("the audit log is written again"));
  await client.startProcess("p", ["true"]);
  await client.collect("p");
  await client.call("process/write", { processId: "helper", chunk: "Cg==", writeId: "2" });
  const { stdout } = await client.collect("helper");
  const numbers = [...stdout.matchAll(/^\{.*"seq":(\d+),.*\}$/gm)].map(([line, seq]) => {
    JSON.parse(line);
    return Number(seq);
  });
  assert.ok(numbers.length > 5, stdout);
  assert.equal(numbers, numbers.map((_, index) => index + 1));
  assert.match(stdout, /"event":"request.refused".*"code":"AUDIT_FAILED"/);
  await client.close();
  process.kill(mounted.pid ?? 0, "SIGTERM");
  await once(mounted, "exit");
});

test("what waits for the disk is bounded; what got lost is counted", async () => {
  const full = await openAuditFile("/dev/full");
  const line = `${"x".repeat(1024 * 1024 - 1)}\n`;
  const taken = Array.from({ length: 10 }, () => full.append(line)).filter(Boolean).length;
  assert.is(taken, MAX_HELD_BYTES / line.length);
  await full.settled();
  assert.is(full.problem, "ENOSPC");
  await full.close();

  const log = join(tempDir(), "audit.log");
  const audit = await openLog(log);
  rmSync(log);
  mkdirSync(log);
  const started = { version: "x".repeat(4000), pid: 1, uid: 0 };
  const many = 2 * MAX_HELD_BYTES / 4000;
  for (let n = 0; n < many; n++) audit.record({ event: "server.started", ...started });
  assert.is(await codeOf(Promise.resolve().then(() => audit.requireWritable())), "AUDIT_FAILED");
  rmdirSync(log);
  await until("it is written again", () => {
    audit.record({ event: "server.stopped", signal: "SIGTERM" });
    try {
      audit.requireWritable();
      return true;
    } catch {
      return false;
    }
  });
  await audit.close();
  const lines = auditLines(log);
  const lost = linesOf(log, "audit.lost").reduce((sum, l) => sum + Number(l["lines"]), 0);
  assert.ok(lost > many / 4);
  const last = lines.at(-1)?.seq ?? 0;
  // Each line that was not kept took a number; so did each attempt to tell of it.
  assert.ok(last >= lines.length + lost, `${last} numbers, ${lines.length} lines, ${lost} lost`);
});

test("a flood of refusals is counted, not written", async () => {
  const log = join(tempDir(), "audit.log");
  const audit = await openLog(log);
  let asked = 0;
  const refuse = () => {
    asked++;
    audit.refused({ event: "connection.refused", peer: "1.2.3.4:5", status: 403, reason: "Forbidden" });
  };
  for (let n = 0; n < 1_000; n++) refuse();
  const told = () => {
    const lines = linesOf(log, "connection.refused");
    return [lines.length, lines.reduce((sum, l) => sum + Number(l["suppressed"] ?? 0), 0)] as const;
  };
  await until("a line tells of the others", () => {
    refuse();
    return told()[1] > 0;
  });
  await audit.close();
  const [written, suppressed] = told();
  assert.ok(written <= 300, `${written} lines`);
  assert.ok(written + suppressed <= asked);
  assert.ok(written + suppressed >= 1_000);
});

test("with --audit-argv what looks like a secret is replaced", () => {
  const cases: [string[], string[]][] = [
    [["psql", "--password=hunter2", "db"], ["psql", "--password=[redacted]", "db"]],
    [["x", "--api-key", "abc", "--verbose"], ["x", "--api-key", "[redacted]", "--verbose"]],
    [["x", "--token", "--verbose"], ["x", "--token", "--verbose"]],
    [["env", "GITHUB_TOKEN=abc", "make"], ["env", "GITHUB_TOKEN=[redacted]", "make"]],
    [["sh", "-c", "DB_PASSWORD='a b' run --x"], ["sh", "-c", "DB_PASSWORD=[redacted] run --x"]],
    [["sh", "-c", "x --secret abc; ls"], ["sh", "-c", "x --secret [redacted] ls"]],
    [["curl", "-H", "Authorization: Bearer abcdef"], ["curl", "-H", "Authorization: [redacted] [redacted]"]],
    [["curl", "-d", '{"password": "p w"}'], ["curl", "-d", '{"password": [redacted]}']],
    [["git", "clone", "https://me:pw@host/x"], ["git", "clone", "https://[redacted]@host/x"]],
    [["curl", "https://host/x?sig=abc#f"], ["curl", "https://host/x?[redacted]#f"]],
    [["x", "ghp_0123456789abcdef"], ["x", "[redacted]"]],
    [["x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc"], ["x", "[redacted]"]],
    [["x", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"], [
      "x",
      "-----BEGIN PRIVATE KEY-----[redacted]-----END PRIVATE KEY-----",
    ]],
    [["git", "commit", "-m", "Tokens are parsed: see parser.ts"], [
      "git",
      "commit",
      "-m",
      "Tokens are parsed: see parser.ts",
    ]],
    [["x", "y".repeat(5000)], ["x", "[5000 characters]"]],
  ];
  for (const [argv, shown] of cases) {
    assert.equal(shownArgv(argv, true).argv, shown);
    assert.is(shownArgv(argv, false).argv, undefined);
  }
  const { argv = [], argvOmitted } = shownArgv(Array.from({ length: 100_000 }, () => "abcdefg"), true);
  assert.is(argv.length, 32_768 / 8);
  assert.is(argv.length + (argvOmitted ?? 0), 100_000);
});

test.run();
