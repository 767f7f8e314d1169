// The server as PID 1 of a container: it reaps what others leave, and passes signals on.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { childrenOf, isRunning, until } from "../harness/proc.ts";
import { programUnderTest, register } from "../harness/program.ts";
import { openRawClient, type RawClient } from "./raw_client.ts";

const ORPHANS = 20;
const LINE = /^(ws:.*)\n/;

let namespace: ChildProcess;
let server = 0; // as seen from here
let client: RawClient;
let text = "";

test.before(async () => {
  const [program, before] = programUnderTest();
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  namespace = spawn(
    "unshare",
    [...asRoot, "--pid", "--fork", "--kill-child", "--mount-proc", program, ...before, "serve"],
    { stdio: ["ignore", "pipe", "inherit"], detached: true },
  );
  register(namespace.pid ?? 0, namespace);
  let printed = "";
  for await (const chunk of namespace.stdout ?? []) {
    printed += String(chunk);
    if (LINE.test(printed)) break;
  }
  server = childrenOf(namespace.pid ?? 0)[0] ?? 0;
  client = await openRawClient(LINE.exec(printed)?.[1] ?? "", {
    onEvent(event) {
      if (event.type === "output") text += event.bytes.toString();
    },
  });
});
test.after(async () => {
  if (namespace.exitCode !== null || namespace.signalCode !== null) return;
  process.kill(namespace.pid ?? 0, "SIGKILL"); // takes the namespace along
  await once(namespace, "exit");
});

test("it is PID 1, and reaps orphans", async () => {
  const script = `i=0; while [ $i -lt ${ORPHANS} ]; do (sleep 0.05 &); i=$((i+1)); done; ` +
    "echo parent $PPID; sleep 0.2; exit 0";
  await client.start("orphans", ["/bin/sh", "-c", script]);
  await until("it has said who its parent is", () => text.includes("\n"));
  assert.match(text, /^parent 1\n/);
  await until("no child and no zombie is left", () => childrenOf(server).length === 0);
});

test("it passes signals on", async () => {
  text = "";
  for (const signal of ["SIGUSR1", "SIGUSR2", "SIGQUIT"] as const) {
    const name = signal.slice(3);
    const script = `trap 'echo ${name}; exit' ${name}; echo ready ${name}; while :; do sleep 0.02; done`;
    await client.start(signal, ["/bin/sh", "-c", script]);
    await until("it waits for the signal", () => text.includes(`ready ${name}\n`));
    process.kill(server, signal);
    await until("it got it", () => text.includes(`\n${name}\n`));
  }
  assert.ok(isRunning(server));
});

test("SIGTERM ends it and everything", async () => {
  await client.start("stubborn", ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.02; done"]);
  const children = childrenOf(server);
  assert.is(children.length, 1);
  process.kill(server, "SIGTERM");
  const [code] = await once(namespace, "exit");
  assert.is(code, 0);
  assert.equal(children.filter(isRunning), []);
});

test.run();
