// `serve --audit-log`: what is recorded, and what never is.
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { sessionDigest } from "../../src/server/audit.ts";
import { MAX_UNFINISHED_REQUESTS } from "../../src/server/limits.ts";
import { frame, openTcp, openUpgraded, unfinishedRequests } from "../faults/attacks.ts";
import { until } from "../harness/proc.ts";
import { runServer, type ServerOptions, startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { at, managed, special } from "../sandbox/policies.ts";
import { WireError } from "../harness/wire_client.ts";
import { auditLines, linesOf } from "./audit_lines.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const uri = (path: string) => pathToFileURL(path).href;

async function withAudit(
  check: (server: TestServer, log: string) => Promise<void>,
  { args = [], ...options }: ServerOptions = {},
): Promise<string> {
  const log = join(tempDir(), "audit.log");
  const server = await startServer({ ...options, args: ["--audit-log", log, ...args] });
  try {
    await check(server, log);
  } finally {
    await server.stop();
  }
  return log;
}

const refusedSockets = (log: string) => linesOf(log, "socket.refused");

async function refusal(call: Promise<unknown>): Promise<number> {
  try {
    await call;
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 0;
}

test("one line for each thing that happens, in order, as the schema says", async () => {
  const folder = tempDir();
  const from = uri(join(folder, "a"));
  let id = "";
  const argv = ["/bin/sh", "-c", "exit 3"];
  const log = await withAudit(async (server) => {
    const client = await server.connect();
    id = client.sessionId;
    await client.startProcess("p", argv, { cwd: uri(folder) });
    await client.collect("p");
    await client.call("fs/writeFile", { path: from, dataBase64: base64("hello") });
    await client.call("fs/readFile", { path: from });
    await client.call("fs/copy", { sourcePath: from, destinationPath: `${from}2`, recursive: false });
    await client.call("fs/createDirectory", { path: `${from}3` });
    await client.call("fs/remove", { path: `${from}2` });
    for (const mode of ["read", "replace", "replaceOnCommit"]) {
      await client.call("fs/open", { handleId: mode, path: from, mode });
      const block = { handleId: mode, offset: 0, chunk: base64("by block") };
      if (mode !== "read") await client.call("fs/writeBlock", block);
      await client.call("fs/close", { handleId: mode, commit: mode === "replaceOnCommit" });
    }
    assert.is(await refusal(client.call("fs/writeFile", { path: uri(folder), dataBase64: "" })) < 0, true);
    assert.is(await refusal(client.call("no/such", {})), -32601);
    assert.is(await refusal(client.call("process/start", {})), -32602);
    await client.close();
    const { port } = new URL(server.url);
    assert.is((await fetch(`http://127.0.0.1:${port}/nowhere?token=abc`)).status, 404);
  });
  const lines = auditLines(log);
  assert.equal(
    lines.map(({ event }) => event),
    [
      "server.started",
      "server.listening",
      "connection.opened",
      "session.opened",
      "process.start",
      "process.exit",
      "file.change",
      "file.change",
      "file.change",
      "file.change",
      "file.change",
      "file.change",
      "file.change",
      "request.refused",
      "request.refused",
      "connection.closed",
      "connection.refused",
      "server.stopped",
    ].toSorted((a, b) => lines.findIndex((l) => l.event === a) - lines.findIndex((l) => l.event === b)),
  );
  assert.equal(lines.map(({ seq }) => seq), lines.map((_, index) => index + 1));
  assert.is(new Set(lines.map(({ run }) => run)).size, 1);
  for (const { time } of lines) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.is(statSync(log).mode & 0o777, 0o600);

  const [start] = linesOf(log, "process.start");
  const [exit] = linesOf(log, "process.exit");
  const session = createHash("sha256").update(id).digest("hex").slice(0, 16);
  const argvSha256 = createHash("sha256").update(argv.map((one) => `${one}\0`).join("")).digest("hex");
  assert.is(start?.["session"], session);
  assert.equal(
    [start?.["process"], start?.["cwd"], start?.["tty"], start?.["sandbox"], start?.["outcome"]],
    ["p", folder, false, "none", "ok"],
  );
  assert.is(start?.["argvSha256"], argvSha256);
  assert.is(start?.["argv"], undefined);
  assert.equal([exit?.["pid"], exit?.["exitCode"], exit?.["session"]], [start?.["pid"], 3, session]);
  const changes = linesOf(log, "file.change").map((l) => [l["method"], l["path"], l["bytes"], l["outcome"]]);
  assert.equal(changes, [
    ["fs/writeFile", join(folder, "a"), 5, "ok"],
    ["fs/copy", join(folder, "a"), undefined, "ok"],
    ["fs/createDirectory", join(folder, "a3"), undefined, "ok"],
    ["fs/remove", join(folder, "a2"), undefined, "ok"],
    ["fs/open", join(folder, "a"), undefined, "ok"],
    ["fs/open", join(folder, "a"), undefined, "ok"],
    ["fs/writeFile", folder, 0, "EISDIR"],
  ]);
  assert.is(linesOf(log, "file.change")[1]?.["destination"], join(folder, "a2"));
  assert.equal(
    linesOf(log, "request.refused").map((l) => [l["method"], l["code"]]),
    [["no/such", "METHOD_NOT_FOUND"], ["process/start", "INVALID_PARAMS"]],
  );
  assert.is(linesOf(log, "connection.refused")[0]?.["status"], 404);
  assert.is(linesOf(log, "connection.closed")[0]?.["code"], 1005);
  assert.is(linesOf(log, "server.stopped")[0]?.["signal"], "SIGTERM");
});

test("sessions: resumed, taken over, expired", async () => {
  let id = "";
  const log = await withAudit(async (server, path) => {
    const first = await server.connect();
    id = first.sessionId;
    const second = await server.connect({ resumeSessionId: id });
    await first.closed;
    await second.terminate();
    const third = await server.connect({ resumeSessionId: id });
    await third.terminate();
    await until("it has expired", () => linesOf(path, "session.expired").length > 0);
    await server.connect({ resumeSessionId: id }).then(
      () => assert.unreachable("it has expired"),
      () => {},
    );
  }, { args: ["--session-ttl", "1"] });
  const ofSessions = auditLines(log).filter(({ event }) => event.startsWith("session."));
  assert.equal(ofSessions.map((l) => [l.event, l["connection"]]), [
    ["session.opened", 1],
    ["session.taken-over", 1],
    ["session.resumed", 2],
    ["session.resumed", 3],
    ["session.expired", undefined],
  ]);
  for (const line of ofSessions) assert.is(line["session"], sessionDigest(id));
  assert.equal(
    linesOf(log, "request.refused").map((l) => [l["method"], l["code"]]),
    [["initialize", "UNKNOWN_SESSION"]],
  );
});

test("how processes end, and starts that fail", async () => {
  const log = await withAudit(async (server, path) => {
    const client = await server.connect();
    await client.startProcess("killed", ["/bin/sh", "-c", "kill -9 $$"]);
    await client.collect("killed");
    await client.startProcess("late", ["sleep", "1000"], { timeoutMs: 50 });
    await client.collect("late");
    await client.startProcess("left", ["sleep", "1000"], { tty: true });
    assert.is(await refusal(client.startProcess("none", ["/no/such/program"])), -32603);
    assert.is(await refusal(client.startProcess("left", ["true"])), -32600);
    await until("the starts are recorded", () => linesOf(path, "process.start").length === 5);
  });
  assert.equal(
    linesOf(log, "process.exit").map((l) => [
      l["process"],
      l["exitCode"],
      l["signal"],
      l["timedOut"],
      l["terminated"],
    ]).slice(0, 2),
    [["killed", 137, "SIGKILL", false, false], ["late", 137, "SIGKILL", true, false]],
  );
  const [, , left] = linesOf(log, "process.exit");
  assert.equal([left?.["process"], left?.["terminated"]], ["left", true]);
  const starts = linesOf(log, "process.start").map((l) => [l["process"], l["outcome"], l["tty"]]);
  assert.equal(starts.slice(2), [
    ["left", "ok", true],
    ["none", "ENOENT", false],
    ["left", "INVALID_REQUEST", false],
  ]);
  assert.ok(linesOf(log, "process.start").every((l) => (l["outcome"] === "ok") === ("pid" in l)));
});

test("a start that is asked for twice under one startId is one line; params by position hide nothing", async () => {
  const folder = tempDir();
  const startId = crypto.randomUUID();
  const log = await withAudit(async (server) => {
    const client = await server.connect();
    for (let time = 0; time < 2; time++) await client.startProcess("p", ["true"], { startId });
    await client.collect("p");
    await client.call("fs/writeFile", [uri(join(folder, "by position")), base64("abc")]);
    await client.close();
  });
  assert.is(linesOf(log, "process.start").length, 1);
  assert.is(linesOf(log, "process.exit").length, 1);
  const [change] = linesOf(log, "file.change");
  assert.equal([change?.["path"], change?.["bytes"]], [join(folder, "by position"), 3]);
});

test("no secret gets into it, with --audit-argv too", async () => {
  const folder = tempDir();
  const token = "t0ken-of-this-server";
  let id = "";
  const log = await withAudit(async (server) => {
    const client = await server.connect({ clientName: "client-secret" });
    id = client.sessionId;
    await client.startProcess(
      "p",
      [
        "/bin/sh",
        "-c",
        'read x; echo "$V, $x"',
        "sh",
        token,
        "--password=hunter2secret",
      ],
      { env: { PATH: "/usr/bin:/bin", V: "env-secret" }, pipeStdin: true },
    );
    await client.call("process/write", { processId: "p", chunk: base64("stdin-secret\n"), writeId: "1" });
    await client.collect("p");
    const path = uri(join(folder, `named ${token}`));
    await client.call("fs/writeFile", { path, dataBase64: base64("file-secret") });
    await fetch(`${server.url.replace("ws:", "http:")}/path-secret?query-secret`);
    await client.close();
  }, { args: ["--audit-argv"], env: { EXEC_SERVER_TOKEN: token } });
  const text = readFileSync(log, "utf8");
  for (
    const secret of ["env", "stdin", "file", "query", "path", "client"].map((one) => `${one}-secret`)
  ) {
    assert.not.match(text, secret);
  }
  for (const secret of [token, id, "hunter2secret", base64("file-secret")]) assert.not.match(text, secret);
  const argv = linesOf(log, "process.start")[0]?.["argv"];
  assert.ok(Array.isArray(argv));
  assert.equal(argv.slice(3), ["sh", "[redacted]", "--password=[redacted]"]);
});

test("a token with a quote and a backslash is in no line, and every line stays JSON", async () => {
  const token = 'n-quote"and\\slash';
  const file = join(tempDir(), "token");
  writeFileSync(file, token);
  const args = ["--audit-argv", "--ws-auth", "capability-token", "--ws-token-file", file];
  const argv = ["/bin/echo", `a${token}b`, `\n${token.slice(1)}`, `\\${token}`];
  const log = await withAudit(async (server) => {
    const client = await server.connect({ headers: { authorization: `Bearer ${token}` } });
    await client.startProcess(token, argv);
    await client.collect(token);
    await client.close();
  }, { args });
  const [start] = linesOf(log, "process.start");
  assert.equal(start?.["argv"], [argv[0], "a[redacted]b", argv[2], "\\[redacted]"]);
  assert.is(start?.["process"], "[redacted]");
});

test("its descriptor reaches no child, with pipes or in a terminal", async () => {
  await withAudit(async (server, log) => {
    const client = await server.connect();
    for (const tty of [false, true]) {
      const id = `fds-${tty}`;
      await client.startProcess(id, ["/bin/sh", "-c", "ls -l /proc/self/fd /proc/$$/fd"], { tty });
      const { stdout, pty } = await client.collect(id);
      assert.match(stdout + pty, /-> /);
      assert.not.match(stdout + pty, log);
    }
  });
});

test("sockets that bring no request: too slow, too many, no HTTP", async () => {
  const log = await withAudit(async (server, path) => {
    const brings = async (text: string) => {
      const socket = await openTcp(server.url);
      const closed = new Promise((ok) => socket.resume().once("close", ok));
      socket.write(text);
      await closed;
    };
    await brings("BLAH\r\n\r\n");
    await brings("GET / HTTP/1.1\r\nHost: x");
    const client = await server.connect(); // its request is no such line
    await client.close();
    assert.is(refusedSockets(path).length, 2);
  }, { args: ["--handshake-timeout", "0.5"] });
  const [first, second] = refusedSockets(log);
  assert.match(String(first?.["reason"]), /^no HTTP request \(HPE_[A-Z_]+\)$/);
  assert.is(second?.["reason"], "no request within 0.5 s (--handshake-timeout)");
  const full = await withAudit(async (server, path) => {
    const crowd = await unfinishedRequests(server.url, MAX_UNFINISHED_REQUESTS + 2);
    await until("the oldest has made room", () => refusedSockets(path).length > 0);
    crowd.stop();
  }, { args: ["--max-connections", "1"] });
  assert.is(refusedSockets(full)[0]?.["reason"], "too many sockets without a request");
  for (const line of [...refusedSockets(log), ...refusedSockets(full)]) {
    assert.match(String(line["peer"]), /^127\.0\.0\.1:\d+$/);
  }
});

test("what the server ends has the code that the client got, and why", async () => {
  const log = await withAudit(async (server, path) => {
    const recorded = (count: number) =>
      until("its end is recorded", () => linesOf(path, "connection.closed").length === count);
    const early = await server.connect({ handshake: false });
    assert.is((await early.closed).code, 1008);
    const unknown = await server.connect();
    unknown.send({ method: "no/such/notification", params: {} });
    assert.is((await unknown.closed).code, 1008);
    const large = await server.connect();
    large.sendBinary(new Uint8Array(1024 * 1024 + 1));
    assert.is((await large.closed).code, 1009);
    const shape = await openUpgraded(server.url, { initialize: true });
    const closed = new Promise((ok) => shape.once("close", ok));
    shape.write(frame(3, new Uint8Array(1)));
    await closed;
    await recorded(4);
    await (await server.connect()).close();
    await recorded(5);
    await (await server.connect()).terminate();
    await recorded(6);
  }, { args: ["--handshake-timeout", "0.5", "--max-message", "1M"] });
  assert.equal(linesOf(log, "connection.closed").map((l) => [l["code"], l["reason"]]), [
    [1008, "no initialize within 0.5 s (--handshake-timeout)"],
    [1008, 'unknown notification "no/such/notification"'],
    [1009, "Max payload size exceeded"],
    [1002, "Invalid WebSocket frame: invalid opcode 3"],
    [1005, undefined],
    [1006, undefined],
  ]);
});

test("messages that cannot be read, and the path of a refused file request, but no content", async () => {
  const folder = tempDir();
  const path = join(folder, "f");
  writeFileSync(path, "x");
  const log = await withAudit(async (server) => {
    const early = await server.connect({ handshake: false });
    early.sendText("{not-json-secret");
    await early.waitFor(({ id }) => id === -1);
    await early.close();
    const client = await server.connect();
    client.sendText('{"id":1,"id":2,"method":"twice-secret"}');
    await client.waitFor(({ id }) => id === -1);
    const sandbox = managed([special("root", "read"), at(folder, "deny")]);
    assert.is(await refusal(client.call("fs/readFile", { path: uri(path), sandbox })), -32600);
    assert.is(await refusal(client.call("fs/open", { handleId: "h", path: uri(path), sandbox })), -32600);
    await client.close();
  });
  const lines = linesOf(log, "message.refused");
  assert.equal(lines.map((l) => [l["connection"], typeof l["session"]]), [[1, "undefined"], [2, "string"]]);
  assert.not.match(readFileSync(log, "utf8"), "-secret");
  assert.equal(
    linesOf(log, "request.refused").map((l) => [l["method"], l["path"]]),
    [["fs/readFile", path], ["fs/open", path]],
  );
});

test("a file that is there is appended to, after a line that was cut off too", async () => {
  const log = join(tempDir(), "audit.log");
  writeFileSync(log, '{"event":"cut o');
  chmodSync(log, 0o640);
  const server = await startServer({ args: ["--audit-log", log] });
  await server.stop();
  const [first, ...rest] = readFileSync(log, "utf8").split("\n");
  assert.is(first, '{"event":"cut o');
  assert.match(rest[0] ?? "", /"event":"server\.started"/);
  assert.is(statSync(log).mode & 0o777, 0o640); // the operator's choice
});

test("what is no file, or cannot be opened, is refused before anything is served", async () => {
  const folder = tempDir();
  symlinkSync(join(folder, "target"), join(folder, "link"));
  const wrong: [string[], number, RegExp][] = [
    [["--audit-log", "/dev/full"], 1, /^Error: the audit log cannot be written \(ENOSPC\): /],
    [["--audit-log", folder], 1, /EISDIR/],
    [["--audit-log", join(folder, "no", "folder")], 1, /ENOENT/],
    [["--audit-log", join(folder, "link")], 1, /ELOOP/],
    [["--audit-log", ""], 2, /--audit-log takes the path of a file/],
    [["--audit-argv"], 2, /--audit-argv needs --audit-log/],
    [["--audit-failure", "continue"], 2, /--audit-failure needs --audit-log/],
    [["--audit-log", join(folder, "x"), "--audit-failure", "ignore"], 2, /refuse, continue/],
  ];
  for (const [args, status, text] of wrong) {
    const { code, stdout, stderr } = await runServer({ args: [...args, "--listen", "ws://127.0.0.1:0"] });
    assert.equal([code, stdout], [status, ""], args.join(" "));
    assert.match(stderr, text);
  }
});

test.run();
