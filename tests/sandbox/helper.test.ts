// The file helper as a process: who it is, what it may use, how many there are, and what one leaves that is killed.
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { mkdirSync, truncateSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as v from "valibot";
import { FsReadFile } from "../../src/protocol/files.ts";
import { enforcedSandbox } from "../../src/protocol/sandbox.ts";
import { MAX_HELPER_OPEN_FILES } from "../../src/files/helper_process.ts";
import { createSandboxedFiles } from "../../src/files/sandboxed.ts";
import { createEnforcement } from "../../src/sandbox/enforcement.ts";
import { programUnderTest } from "../harness/program.ts";
import { startServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { type JsonObject, type WireClient, WireError } from "../harness/wire_client.ts";
import { makeScene } from "./attacks/scene.ts";
import { IDENTITIES } from "./attacks/identities.ts";
import { startAttackServer } from "./attacks/wire_start.ts";
import { connectWire } from "../harness/wire_client.ts";
import { fileHelpersOf } from "./file_helpers.ts";
import { at, glob, managed, special } from "./policies.ts";

const TEMPORARY = /^\.exec-server-.*\.tmp$/;
/** Takes seconds to copy; it is a hole. */
const LONG_BYTES = 4 * 1024 ** 3;
const HANGING_LIMIT_MS = 2_000;

const uri = (path: string) => pathToFileURL(path).href;
const workspace = (root: string, ...more: unknown[]) =>
  managed([special("root", "read"), at(root, "write"), ...more]);
const temporariesIn = (root: string) => readdirSync(root).filter((name) => TEMPORARY.test(name));

for (const { identity, uid } of IDENTITIES) {
  test(`it is an ordinary process of the server's user, with few rights: ${identity}`, async () => {
    const scene = await makeScene({ uid });
    scene.reset();
    const server = await startAttackServer(scene);
    const client = await connectWire(server.url);
    try {
      const sandbox = workspace(scene.root, at(scene.secret, "deny"));
      const path = uri(join(scene.root, "made"));
      await client.call("fs/writeFile", { path, dataBase64: "bmV3", sandbox });
      assert.equal(await client.call("fs/readFile", { path, sandbox }), { dataBase64: "bmV3" });
      const denied = client.call("fs/readDirectory", { path: uri(scene.secret), sandbox });
      assert.match(String(await denied.catch(String)), "Permission denied");
      const [helper = 0, ...others] = fileHelpersOf(server.pid);
      assert.equal(others, []);
      const status = readFileSync(`/proc/${helper}/status`, "utf8");
      assert.is(/^Uid:\t(\d+)\t/m.exec(status)?.[1], `${uid}`);
      assert.match(status, /^CapEff:\t0+$/m);
      const limits = readFileSync(`/proc/${helper}/limits`, "utf8");
      assert.match(limits, /^Max core file size +0 +0 /m);
      const files = Number(/^Max open files +\d+ +(\d+) /m.exec(limits)?.[1]);
      assert.ok(files > 0 && files <= MAX_HELPER_OPEN_FILES, limits);
    } finally {
      await client.close();
      await server.stop();
      await scene.close();
    }
  });
}

/** Begins a long copy and kills the helper in the middle of it. */
async function killedCopy(client: WireClient, server: number, root: string, sandbox: JsonObject) {
  const begun = new Promise<void>((resolve) => {
    const watching = watch(root, (_, name) => {
      if (name === null || !TEMPORARY.test(name)) return;
      watching.close();
      resolve();
    });
  });
  const copying = client.call("fs/copy", {
    sourcePath: uri(join(root, "long")),
    destinationPath: uri(join(root, "copy")),
    recursive: false,
    sandbox,
  }, { timeoutMs: 60_000 }).catch((error: unknown) => error);
  await begun;
  for (const pid of fileHelpersOf(server)) process.kill(pid, "SIGKILL");
  return await copying;
}

test("what it was writing when it was killed goes with the next one", async () => {
  const server = await startServer();
  try {
    for (const pattern of [[], ["**/.env"]]) {
      const root = mkdtempSync(join(realpathSync(tempDir()), "ws-"));
      writeFileSync(join(root, "long"), "");
      truncateSync(join(root, "long"), LONG_BYTES);
      const sandbox = workspace(root, ...pattern.map((one) => glob(`${root}/${one}`)));
      const client = await server.connect();
      const failed = await killedCopy(client, server.pid, root, sandbox);
      assert.instance(failed, WireError);
      assert.match(String(failed), "file helper has ended");
      assert.is(temporariesIn(root).length, 1, "it was not killed in the middle");
      // Not by the server itself, nor for another policy.
      const other = workspace(root, at(join(root, "long"), "read"));
      await client.call("fs/getMetadata", { path: uri(root), sandbox: other });
      assert.is(temporariesIn(root).length, 1);
      await client.close();
      const next = await server.connect();
      await next.call("fs/getMetadata", { path: uri(root), sandbox });
      assert.equal(temporariesIn(root), []);
      assert.equal(readdirSync(root), ["long"]);
      await next.close();
      rmSync(root, { recursive: true });
    }
  } finally {
    await server.stop();
  }
});

test("the places of a server are shared by all connections: who comes later waits", async () => {
  const [executable = ""] = programUnderTest();
  const root = realpathSync(tempDir());
  const read = uri(join(root, "a"));
  writeFileSync(join(root, "a"), "a");
  const policies = Array.from({ length: 3 }, (_, index) => {
    mkdirSync(join(root, `p${index}`));
    return v.parse(enforcedSandbox(), workspace(root, at(join(root, `p${index}`), "read")));
  });
  const files = createSandboxedFiles(createEnforcement({ stateFolder: tempDir() }), {
    executable: realpathSync(executable),
    maxHelpers: 2,
    requestLimitMs: HANGING_LIMIT_MS,
  });
  const connections = policies.map(() => new AbortController());
  let most = 0;
  const ask = async (connection: number, policy: number) => {
    const signal = connections[connection]?.signal ?? new AbortController().signal;
    const answer = await files.call(policies[policy], FsReadFile, { path: read }, signal);
    most = Math.max(most, fileHelpersOf(process.pid).length);
    return answer;
  };
  try {
    // Nine helpers are wanted at once, and two may be.
    const all = await Promise.all(policies.flatMap((_, one) => policies.map((_, other) => ask(one, other))));
    assert.equal(all, all.map(() => ({ result: { dataBase64: "YQ==" } })));
    assert.ok(most > 0 && most <= 2, `${most} helpers`);
    // Both places are taken by helpers that hang: who waits gets one when their time is over.
    await Promise.all([ask(0, 0), ask(1, 1)]);
    for (const pid of fileHelpersOf(process.pid)) process.kill(pid, "SIGSTOP");
    const hanging = [ask(0, 0), ask(1, 1)].map((one) => one.catch(String));
    const waiting = ask(2, 2);
    for (const failed of await Promise.all(hanging)) assert.match(String(failed), "did not answer in 2 s");
    assert.equal(await waiting, { result: { dataBase64: "YQ==" } });
  } finally {
    for (const connection of connections) connection.abort();
    await files.close();
  }
  assert.equal(fileHelpersOf(process.pid), []);
});

test.run();
