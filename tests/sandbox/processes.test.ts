// process/start in a sandbox, as a client sees it.
import { Buffer } from "node:buffer";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { connected } from "../harness/connected.ts";
import { childrenOf, isInFront, until } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { isObject, type JsonObject, type WireClient } from "../harness/wire_client.ts";
import { pathToFileURL } from "node:url";
import { at, glob, managed, special } from "./policies.ts";

const state = tempDir();
const env = { XDG_STATE_HOME: state };
const uri = (path: string) => pathToFileURL(path).href;
const sh = (script: string) => ["/bin/sh", "-c", script];
const base64 = (text: string) => Buffer.from(text).toString("base64");
const readAll = special("root", "read");
const readOnly = (extra = {}) => managed([readAll], extra);

let server: TestServer;
let client: WireClient;

connected((c, s) => {
  client = c;
  server = s;
}, { env, args: ["--traceable"] });

/** Runs to the end. */
async function run(id: string, argv: string[], options: JsonObject, on: WireClient = client) {
  const answer = await on.startProcess(id, argv, options);
  const collected = await on.collect(id);
  const exited =
    on.notifications.find(({ method, params }) => method === "process/exited" && params["processId"] === id)
      ?.params ?? {};
  return { ...collected, answer, exited };
}

/** Text of a terminal or of stdout so far. */
function outputOf(id: string): string {
  return client.notifications.filter(({ method, params }) =>
    method === "process/output" && params["processId"] === id
  ).map(({ params }) => Buffer.from(String(params["chunk"]), "base64").toString()).join("");
}

let writes = 0;
const type = (processId: string, text: string) =>
  client.call("process/write", { processId, chunk: base64(text), writeId: `w${writes++}` });

test("a read-only sandbox: a write is refused, and said to be denied", async () => {
  const folder = tempDir();
  const { answer, exitCode, exited, stderr } = await run("p", sh("echo x >made"), {
    cwd: uri(folder),
    sandbox: readOnly(),
  });
  assert.is(answer["sandboxType"], "linuxSeccomp");
  assert.is.not(exitCode, 0);
  assert.match(stderr, /Read-only file system/);
  assert.is(exited["sandboxDenied"], true);
  const read = await client.call("process/read", { processId: "p" });
  assert.is(read["sandboxDenied"], true);
  assert.equal(readdirSync(folder), []);
});

test("what is sent while the sandbox is set up reaches the program", async () => {
  const sandbox = readOnly();
  const sized = client.startProcess("sized", sh("stty size; sleep 0.2; stty size"), { tty: true, sandbox });
  for (const rows of [40, 50]) {
    const size = { rows, cols: 132 };
    assert.equal(await client.call("process/resize", { processId: "sized", size }), {});
  }
  await sized;
  assert.match((await client.collect("sized")).pty, /50 132\r\n$/);
  const signalled = client.startProcess("signalled", sh("sleep 2"), { sandbox });
  assert.equal(await client.call("process/signal", { processId: "signalled", signal: "SIGTERM" }), {});
  await signalled;
  assert.is((await client.collect("signalled")).exitCode, 143);
});

test("without a sandbox, or with a disabled one, none is made", async () => {
  for (
    const [id, sandbox] of Object.entries({
      a: null,
      b: { permissions: { type: "disabled" }, windowsSandboxLevel: "disabled" },
    })
  ) {
    assert.is((await run(id, ["true"], { sandbox })).answer["sandboxType"], "none");
  }
});

test("a workspace is written to; its .git and what is denied are not, and leave nothing behind", async () => {
  const folder = tempDir();
  mkdirSync(join(folder, ".git"));
  writeFileSync(join(folder, "secret"), "secret");
  const denied = managed(
    [
      readAll,
      at(folder, "write"),
      at(join(folder, ".git"), "read"),
      at(join(folder, "secret"), "deny"),
      glob(`${folder}/**/*.env`),
    ],
    { cwd: uri(folder) },
  );
  writeFileSync(join(folder, "a.env"), "secret");
  const script = "echo x >made; echo x >.git/made; cat secret a.env; mkdir .codex; ls -A; pwd; exit 3";
  const { exitCode, stdout, stderr } = await run("p", sh(script), { cwd: uri(folder), sandbox: denied });
  assert.is(exitCode, 3);
  assert.not.match(stdout, "secret\nsecret");
  assert.match(stdout, `${folder}\n`);
  assert.match(stderr, /\.git\/made.*Read-only|Read-only/);
  assert.is(readFileSync(join(folder, "made"), "utf8"), "x\n");
  assert.equal(readdirSync(join(folder, ".git")), []);
});

test("a protected name that does not exist cannot be made, and does not exist afterwards", async () => {
  const folder = tempDir();
  const sandbox = managed([readAll, at(folder, "write"), at(join(folder, ".codex"), "read")]);
  const { stdout, exitCode } = await run("p", sh("echo x >.codex/made || mv .codex x || echo refused"), {
    cwd: uri(folder),
    sandbox,
  });
  assert.equal([stdout, exitCode], ["refused\n", 0]);
  assert.equal(readdirSync(folder), []);
});

test("the environment is what was asked for, and says that the network is off", async () => {
  const options = { env: { A: "1", LD_LIBRARY_PATH: "/x y", "a.b": "c\nd" }, cwd: uri("/usr") };
  const lines = async (id: string, sandbox: unknown) => {
    const { stdout } = await run(id, ["/usr/bin/env", "-0"], { ...options, sandbox });
    return stdout.split("\0").sort().filter((line) => !line.startsWith("EXEC_SERVER_PROCESS="));
  };
  const plain = await lines("a", null);
  assert.equal(await lines("b", readOnly()), [...plain, "CODEX_SANDBOX_NETWORK_DISABLED=1"].sort());
  assert.equal(await lines("c", readOnly({ network: "enabled" })), plain);
});

test("the network is off or on", async () => {
  const listener: Server = createServer((socket) => socket.end("hello"));
  await new Promise<void>((ok) => listener.listen(0, "127.0.0.1", ok));
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const argv = ["/bin/bash", "-c", `cat </dev/tcp/127.0.0.1/${address.port}`];
  try {
    assert.is.not((await run("p", argv, { sandbox: readOnly() })).exitCode, 0);
    assert.is((await run("q", argv, { sandbox: readOnly({ network: "enabled" }) })).stdout, "hello");
  } finally {
    listener.close();
  }
});

test("input, arg0 and exit codes pass; the list shows the program", async () => {
  await client.startProcess("p", sh("read line; echo $0 $line; exit 7"), {
    arg0: "my shell",
    pipeStdin: true,
    sandbox: readOnly(),
    cwd: uri("/usr"),
  });
  const list = await client.call("process/list", {});
  const [one] = Array.isArray(list["processes"]) ? list["processes"] : [];
  assert.ok(isObject(one));
  assert.equal(one["argv"], sh("read line; echo $0 $line; exit 7"));
  assert.is(one["cwd"], "file:///usr");
  await type("p", "hi\n");
  const { stdout, exitCode } = await client.collect("p");
  assert.equal([stdout, exitCode], ["my shell hi\n", 7]);
});

test("a signal reaches the program, which handles it; one that ends it is told", async () => {
  const handles = "trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
  await client.startProcess("p", sh(handles), { sandbox: readOnly() });
  await until("ready", () => outputOf("p").includes("ready"));
  await client.call("process/signal", { processId: "p", signal: "SIGTERM" });
  const { stdout, exitCode } = await client.collect("p");
  assert.equal([stdout, exitCode], ["ready\nterm\n", 5]);
  await client.startProcess("q", ["sleep", "100"], { sandbox: readOnly() });
  await client.call("process/signal", { processId: "q", signal: "SIGUSR1" });
  assert.is((await client.collect("q")).exitCode, 128 + 10);
  const exited = client.notifications.find(({ method, params }) =>
    method === "process/exited" && params["processId"] === "q"
  );
  assert.is(exited?.params["signal"], "SIGUSR1");
});

test("terminate with a grace lets the program clean up; nothing is left", async () => {
  const handles =
    "trap 'echo bye; exit 0' TERM; setsid sleep 1000 & echo ready; while :; do sleep 0.05; done";
  await client.startProcess("p", sh(handles), { sandbox: readOnly() });
  await until("ready", () => outputOf("p").includes("ready"));
  const answer = await client.call("process/terminate", { processId: "p", graceMs: 5000 });
  assert.equal(answer, { running: true, survivors: [] });
  assert.is((await client.collect("p")).stdout, "ready\nbye\n");
  await client.startProcess("q", sh("trap '' TERM; (setsid sleep 1000 &) ; sleep 1000"), {
    sandbox: readOnly(),
  });
  await client.call("process/terminate", { processId: "q" });
  assert.is((await client.collect("q")).exitCode, 137);
  await until("nothing is left", () => childrenOf(server.pid).length <= 1);
});

test("a terminal has job control, and Ctrl-C ends the foreground job only", async () => {
  await client.startProcess("t", ["/bin/bash", "--norc", "-i"], {
    tty: true,
    size: { rows: 30, cols: 100 },
    env: { PATH: "/usr/bin:/bin", PS1: "$ ", TERM: "dumb" },
    sandbox: readOnly(),
  });
  await type("t", "stty size; sleep 1000\n");
  await until("size", () => outputOf("t").includes("30 100"));
  await until("the job has the terminal", () => isInFront(server.pid, "sleep 1000"));
  await type("t", "\x03");
  await type("t", "echo code $?\n");
  await until("alive", () => outputOf("t").includes("code 130"));
  await type("t", "sleep 1001 & jobs; fg\n");
  await until("running", () => outputOf("t").includes("Running"));
  await until("the job has the terminal", () => isInFront(server.pid, "sleep 1001"));
  await type("t", "\x1a");
  await until("stopped", () => outputOf("t").includes("Stopped"));
  await client.call("process/resize", { processId: "t", size: { rows: 40, cols: 90 } });
  await type("t", "kill %1; stty size; exit 4\n");
  await until("size", () => outputOf("t").includes("40 90"));
  const { exitCode } = await client.collect("t");
  assert.is(exitCode, 4);
  assert.not.match(outputOf("t"), /no job control|cannot set terminal/);
});

test("Ctrl-C in a terminal reaches a program without job control, as SIGINT", async () => {
  await client.startProcess(
    "t",
    sh("trap 'echo int; exit 6' INT; echo ready; while :; do sleep 0.05; done"),
    {
      tty: true,
      sandbox: readOnly(),
    },
  );
  await until("ready", () => outputOf("t").includes("ready"));
  await type("t", "\x03");
  assert.is((await client.collect("t")).exitCode, 6);
  assert.match(outputOf("t"), "int");
});

test("limits hold in a sandbox", async () => {
  const { stdout } = await run("p", sh("ulimit -n; ulimit -c"), {
    sandbox: readOnly(),
    limits: { openFiles: 77 },
  });
  assert.is(stdout, "77\n0\n");
});

test("a floor holds for everybody, and cannot be widened", async () => {
  const root = tempDir();
  const outside = tempDir();
  const floored = await startServer({
    env,
    args: ["--sandbox-floor", "workspace-write", "--sandbox-root", root],
  });
  const other = await floored.connect();
  try {
    const script = `echo x >${root}/made; echo x >${outside}/made`;
    const all = {
      permissions: { type: "managed", network: "enabled", file_system: { type: "unrestricted" } },
      windowsSandboxLevel: "disabled",
    };
    const disabled = { permissions: { type: "disabled" }, windowsSandboxLevel: "disabled" };
    for (const [id, sandbox] of Object.entries({ a: null, b: disabled, c: all })) {
      const { answer, exitCode } = await run(id, sh(`rm -f ${root}/made; ${script}`), { sandbox }, other);
      assert.is(answer["sandboxType"], "linuxSeccomp");
      assert.is.not(exitCode, 0);
      assert.equal([readdirSync(root), readdirSync(outside)], [["made"], []], id);
      const shown = await run(`${id}n`, ["env"], { sandbox }, other);
      assert.match(shown.stdout, "CODEX_SANDBOX_NETWORK_DISABLED=1");
    }
    const narrower = await run("d", sh(`echo y >${root}/made`), { sandbox: readOnly() }, other);
    assert.is.not(narrower.exitCode, 0);
    assert.is(readFileSync(join(root, "made"), "utf8"), "x\n");
  } finally {
    await other.terminate();
    await floored.stop();
  }
});

test.run();
