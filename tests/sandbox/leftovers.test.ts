// What sandboxed work leaves behind: nothing, also when its server is killed in the middle of it.
import * as fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { findCgroup, foldersIn, processesIn } from "../../src/process/cgroup_tree.ts";
import { stubsBelow } from "../../src/sandbox/stubs.ts";
import { childrenOf, isRunning, openFiles, until } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { type JsonObject, type WireClient, WireError } from "../harness/wire_client.ts";
import { at, glob, managed, special } from "./policies.ts";

/** Pieces of work in the long test: each kind as often as fits. */
const RUNS = 200;
/** Names that are protected and missing: a stand-in is made for each. */
const PROTECTED = [".git", ".codex"];

const uri = (path: string) => pathToFileURL(path).href;
const sh = (script: string) => ["/bin/sh", "-c", script];
const read = (path: string) => fs.readFileSync(path, "utf8");

/** A folder that may be written to, in which the protected names are missing; and further entries. */
function workspace(...more: unknown[]): { folder: string; sandbox: JsonObject } {
  const folder = tempDir();
  const names = PROTECTED.map((name) => at(join(folder, name), "read"));
  return { folder, sandbox: managed([special("root", "read"), at(folder, "write"), ...names, ...more]) };
}

/** Everything below a process. */
function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** The cgroup that a server made for itself, and ours. Undefined where it can make none. */
function cgroupOf(pid: number): string | undefined {
  const found = findCgroup(read("/proc/self/mountinfo"), read(`/proc/${pid}/cgroup`));
  return found?.endsWith("/main") ? found.slice(0, -"/main".length) : undefined;
}

/** What there is of a server besides its connections. */
function holdings(server: TestServer) {
  const cgroup = cgroupOf(server.pid);
  return {
    processes: descendantsOf(server.pid).length,
    files: openFiles(server.pid),
    mounts: read(`/proc/${server.pid}/mountinfo`),
    hostMounts: read("/proc/self/mountinfo"),
    cgroups: cgroup === undefined ? [] : foldersIn(cgroup),
    inCgroup: cgroup === undefined ? 0 : processesIn(cgroup).length,
  };
}

/** A server with a state folder and a folder for temporary files of its own. */
async function serverWith(state: string): Promise<{ server: TestServer; temporary: string }> {
  const temporary = tempDir();
  return { server: await startServer({ env: { XDG_STATE_HOME: state, TMPDIR: temporary } }), temporary };
}

async function refused(call: Promise<unknown>): Promise<void> {
  const result = await call.catch((error: unknown) => error);
  assert.instance(result, WireError, JSON.stringify(result));
}

const begun = (client: WireClient, processId: string) =>
  client.waitFor(({ method, params }) =>
    method === "process/output" && JSON.stringify(params).includes(`"processId":"${processId}"`)
  );

test(`${RUNS} pieces of sandboxed work leave nothing`, async () => {
  const state = tempDir();
  const { server, temporary } = await serverWith(state);
  try {
    const outside = tempDir();
    const plain = workspace();
    const places = [
      plain,
      workspace(glob(`${plain.folder}/**/*.env`)),
      workspace(at(outside, "deny")),
      { folder: tempDir(), sandbox: managed([special("root", "read")]) },
    ];
    for (const { folder } of places) fs.writeFileSync(join(folder, "file"), "content");
    let client = await server.connect();
    const work = async (index: number) => {
      const id = `p${index}`;
      const { folder, sandbox } = places[index % places.length] ?? plain;
      const start = (argv: string[], more: JsonObject = {}) =>
        client.startProcess(id, argv, { cwd: uri(folder), sandbox, ...more });
      const exitCode = async () => (await client.collect(id)).exitCode;
      const file = (name: string) => ({ path: uri(join(folder, name)), sandbox });
      switch (Math.floor(index / places.length) % 10) {
        case 0:
          await start(sh("setsid sleep 1000 & exit 0"));
          return assert.is(await exitCode(), 0);
        case 1:
          await start(sh("echo x >/etc/made"));
          return assert.is.not(await exitCode(), 0);
        case 2:
          await start(["true"], { tty: true, limits: { processes: 20 } }).catch((error: unknown) => {
            assert.match(String(error), /limit/); // where that cannot be had
            return start(["true"], { tty: true });
          });
          return assert.is(await exitCode(), 0);
        case 3:
          await start(sh("sleep 1000 & exit 3"), { tty: true });
          return assert.is(await exitCode(), 3);
        case 4:
        case 5:
          await start(sh("trap '' TERM; (setsid sleep 1000 &); echo begun; sleep 1000"), {
            tty: Math.floor(index / places.length) % 10 === 5,
          });
          await begun(client, id);
          await client.call("process/terminate", { processId: id });
          return assert.is(await exitCode(), 137);
        case 6:
          return await refused(start(["/no/such/program"]));
        case 7:
          return void await client.call("fs/readFile", file("file"));
        case 8:
          return await refused(client.call("fs/writeFile", { ...file(".git/config"), dataBase64: "" }));
        default:
          return await refused(client.call("fs/readDirectory", file("missing")));
      }
    };
    const several = async (from: number, to: number) => {
      for (let next = from; next < to; next += 4) {
        await Promise.all([0, 1, 2, 3].map((more) => work(next + more)));
      }
    };
    /** A connection's helpers end with it. */
    const reconnect = async () => {
      await client.terminate();
      client = await server.connect();
    };

    await several(0, 10 * places.length); // what is made once, for the whole life of a server
    await reconnect();
    await until("the helpers have ended", () => childrenOf(server.pid).length === 0);
    const before = holdings(server);
    await several(10 * places.length, 10 * places.length + RUNS);
    await reconnect();
    await until("no process is left", () => descendantsOf(server.pid).length === 0);
    await until("no descriptor is left", () => openFiles(server.pid) <= before.files);
    const after = holdings(server);
    assert.equal({ ...after, files: 0 }, { ...before, files: 0 });
    for (const { folder } of places) assert.equal(fs.readdirSync(folder), ["file"]);
    assert.equal(fs.readdirSync(temporary), []);
    assert.equal(fs.readdirSync(join(state, "exec-server")), ["stubs.json"]);
    assert.is(read(join(state, "exec-server/stubs.json")), "{}");
    const cgroup = cgroupOf(server.pid);
    await client.terminate();
    await server.stop();
    assert.not(cgroup !== undefined && fs.existsSync(cgroup), "the server's own cgroup stayed");
  } finally {
    await server.stop();
  }
});

test("what a killed server leaves goes with its next start, and nothing else", async () => {
  const state = tempDir();
  const journal = join(state, "exec-server");
  const { server, temporary } = await serverWith(state);
  const { server: neighbour } = await serverWith(state);
  const [pipes, terminal, files, others] = [workspace(), workspace(), workspace(), workspace()];
  const stubsOf = (folder: string) => fs.readdirSync(folder).filter((name) => PROTECTED.includes(name));
  const sleep = sh("(setsid sleep 1000 &); echo begun; exec sleep 1000");
  try {
    const client = await server.connect();
    const beside = await neighbour.connect();
    for (const [id, { folder, sandbox }, tty] of [["p", pipes, false], ["t", terminal, true]] as const) {
      await client.startProcess(id, sleep, { cwd: uri(folder), sandbox, tty });
      await begun(client, id);
    }
    await client.call("fs/readDirectory", { path: uri(files.folder), sandbox: files.sandbox });
    await beside.startProcess("o", sleep, { cwd: uri(others.folder), sandbox: others.sandbox });
    const all = [pipes, terminal, files, others];
    for (const { folder } of all) {
      assert.equal(stubsOf(folder).length, PROTECTED.length);
      assert.is(stubsBelow(journal, folder).length, PROTECTED.length);
    }
    const processes = descendantsOf(server.pid);
    // bwrap, its init, the program and its job, twice; bwrap, its init and a helper.
    assert.is(processes.length, 11);
    const cgroup = cgroupOf(server.pid);
    fs.writeFileSync(join(pipes.folder, ".codex/kept"), ""); // the host's, since then

    process.kill(server.pid, "SIGKILL");
    await server.exited;
    await client.closed;
    await until("all of it has ended", () => !processes.some(isRunning));
    for (const { folder } of all) assert.equal(stubsOf(folder).length, PROTECTED.length);

    const { server: next } = await serverWith(state);
    try {
      await until("what it left is gone", () => stubsBelow(journal, files.folder).length === 0);
      assert.equal(fs.readdirSync(pipes.folder), [".codex"]);
      assert.equal(fs.readdirSync(join(pipes.folder, ".codex")), ["kept"]);
      for (const { folder } of [terminal, files]) assert.equal(fs.readdirSync(folder), []);
      assert.equal(stubsOf(others.folder).length, PROTECTED.length, "those of a server that lives stay");
      assert.is(stubsBelow(journal, others.folder).length, PROTECTED.length);
      assert.not(cgroup !== undefined && fs.existsSync(cgroup), "the cgroup of the killed server stayed");
      assert.equal(fs.readdirSync(temporary), []);
      assert.equal(read(`/proc/${next.pid}/mountinfo`), read("/proc/self/mountinfo"));

      await beside.call("process/terminate", { processId: "o" });
      await beside.collect("o");
      await until("the other's are gone", () => stubsOf(others.folder).length === 0);
      assert.is(read(join(journal, "stubs.json")), "{}");
    } finally {
      await next.stop();
    }
  } finally {
    await Promise.all([server.stop(), neighbour.stop()]);
  }
});

test("a server that is killed while sandboxes begin leaves nothing that its next start does not find", async () => {
  const state = tempDir();
  const places = Array.from({ length: 8 }, () => workspace());
  for (let round = 0; round < 4; round++) {
    const { server } = await serverWith(state);
    try {
      const client = await server.connect();
      const first = places.map(async ({ folder, sandbox }, index) => {
        if (index % 4 === 3) {
          return await client.call("fs/readDirectory", { path: uri(folder), sandbox });
        }
        return await client.startProcess(`p${index}`, sh("sleep 1000"), {
          cwd: uri(folder),
          sandbox,
          tty: index % 4 === 2,
        });
      });
      const settled = Promise.allSettled(first);
      // From the first stand-in on, each time a little later: among journal, stand-ins, bwrap and its answer.
      await until("it has begun", () => places.some(({ folder }) => fs.readdirSync(folder).length > 0));
      for (let count = 0; count < round; count++) await Promise.race(first.slice(count));
      const processes = descendantsOf(server.pid);
      process.kill(server.pid, "SIGKILL");
      await client.terminate();
      await settled;
      await until("all of it has ended", () => !processes.some(isRunning));
    } finally {
      await server.stop();
    }
    const { server: next } = await serverWith(state);
    try {
      await until("all is gone", () => places.every(({ folder }) => fs.readdirSync(folder).length === 0));
      await until("the journal is empty", () => read(join(state, "exec-server/stubs.json")) === "{}");
    } finally {
      await next.stop();
    }
    assert.equal(fs.readdirSync(join(state, "exec-server")).filter((name) => name === "lock"), []);
  }
});

test("a stand-in that the journal cannot remember is not made", async () => {
  const state = tempDir();
  fs.mkdirSync(join(state, "exec-server/stubs.json"), { recursive: true }); // as little writable as a full disk
  const { server } = await serverWith(state);
  try {
    const client = await server.connect();
    const { folder, sandbox } = workspace();
    for (const tty of [false, true]) {
      await refused(client.startProcess("p", ["touch", join(folder, "made")], { sandbox, tty }));
    }
    await refused(
      client.call("fs/writeFile", { path: uri(join(folder, "made")), dataBase64: "", sandbox }),
    );
    assert.equal(fs.readdirSync(folder), []);
    assert.equal(fs.readdirSync(join(state, "exec-server")), ["stubs.json"]);
    await client.terminate();
  } finally {
    await server.stop();
  }
});

test.run();
