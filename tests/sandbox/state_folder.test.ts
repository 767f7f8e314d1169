// The server's own memory of its sandboxes: nothing in a sandbox may write it, redirect it or be there before it.
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openStubJournal } from "../../src/sandbox/stubs.ts";
import { until } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import type { JsonObject, WireClient } from "../harness/wire_client.ts";
import { at, managed, special } from "./policies.ts";

const sh = (script: string) => ["/bin/sh", "-c", script];

/** A home without a state folder, as it is where connection files have a place of their own; and what lies beside it. */
function place() {
  const folder = tempDir();
  const home = join(folder, "home");
  const outside = join(folder, "outside");
  fs.mkdirSync(join(home, "project"), { recursive: true });
  fs.mkdirSync(join(outside, "empty"), { recursive: true });
  fs.mkdirSync(join(folder, "run"), { mode: 0o700 });
  fs.writeFileSync(join(outside, "passwd"), "root:x:0:0\n");
  const env = { HOME: home, XDG_STATE_HOME: undefined, XDG_RUNTIME_DIR: join(folder, "run") };
  return { home, outside, env, state: join(home, ".local/state/exec-server") };
}

async function withServer(
  options: Parameters<typeof startServer>[0],
  check: (client: WireClient, server: TestServer) => Promise<void>,
): Promise<void> {
  const server = await startServer(options);
  try {
    const client = await server.connect();
    await check(client, server);
    await client.terminate();
  } finally {
    await server.stop();
  }
}

let runs = 0;
async function run(client: WireClient, script: string, sandbox: JsonObject | null, cwd: string) {
  const id = `p${runs++}`;
  await client.startProcess(id, sh(script), { sandbox, cwd: pathToFileURL(cwd).href });
  return await client.collect(id);
}

/** Needs a stand-in, so that the journal is written. */
const standIn = (folder: string) =>
  managed([special("root", "read"), at(folder, "write"), at(join(folder, ".codex"), "read")]);

for (const floor of [true, false]) {
  test(`a sandbox cannot make the state folder before the server does${floor ? ", under a floor" : ""}`, async () => {
    const { home, outside, env, state } = place();
    const args = floor ? ["--sandbox-floor", "workspace-write", "--sandbox-root", home] : [];
    await withServer({ env, args }, async (client) => {
      for (const name of ["stubs.json.new", "stubs.json", "lock"]) {
        const plant =
          `mkdir -p ${state}; rm -f ${state}/${name}; ln -s ${outside}/passwd ${state}/${name}; :`;
        await run(client, plant, managed([special("root", "read"), at(home, "write")]), home);
        await run(client, ":", standIn(join(home, "project")), join(home, "project"));
      }
    });
    assert.is(fs.readFileSync(join(outside, "passwd"), "utf8"), "root:x:0:0\n");
    assert.equal(fs.readdirSync(state), ["stubs.json"]);
    assert.is(fs.statSync(state).mode & 0o777, 0o700);
  });
}

test("a sandbox cannot put a journal of its own in the place of the server's, whatever it may write", async () => {
  const { home, outside, env, state } = place();
  const forged = JSON.stringify({ [join(outside, "empty")]: ["1:1:x"] });
  const policies = [
    managed([special("root", "read"), at(home, "write")]),
    managed([special("root", "read"), at(state, "write"), at(join(state, "stubs.json"), "write")]),
    managed([special("root", "write")]),
    managed([special("root", "write"), at(home, "write"), at(dirname(state), "write")]),
  ];
  await withServer({ env }, async (client) => {
    await run(client, ":", standIn(join(home, "project")), join(home, "project"));
    const before = fs.statSync(state).ino;
    for (const [index, sandbox] of policies.entries()) {
      const forge = `mkdir -p ${state}; echo '${forged}' >${state}/stubs.json`;
      for (const folder of [undefined, state, dirname(state), join(home, ".local")]) {
        await run(client, `${folder ? `mv ${folder} ${folder}.x; ` : ""}${forge}; :`, sandbox, "/");
        // Looked at from outside: below a private /tmp a sandbox may do what it wants.
        assert.is(fs.readFileSync(join(state, "stubs.json"), "utf8"), "{}", `${folder}, policy ${index}`);
        assert.is(fs.statSync(state).ino, before);
      }
    }
  });
  await withServer({ env }, async (client) => {
    await run(client, ":", standIn(join(home, "project")), join(home, "project")); // after the sweep
    assert.ok(fs.existsSync(join(outside, "empty")));
    await until("the journal is empty", () => fs.readFileSync(join(state, "stubs.json"), "utf8") === "{}");
  });
});

test("the way to the state folder leads through no link that a sandbox could replace", async () => {
  const { home, outside, env } = place();
  fs.symlinkSync(outside, join(home, ".local"));
  await withServer({ env }, async (client) => {
    const refused = await run(client, ":", managed([special("root", "read"), at(home, "write")]), home).catch(
      String,
    );
    assert.match(String(refused), /\.local`, which the sandbox could replace/);
    assert.is((await run(client, "echo ran", managed([special("root", "read")]), "/")).stdout, "ran\n");
  });
});

test("a state folder that is a link or somebody else's is not used", async () => {
  for (const kind of ["link", "foreign"]) {
    const { outside, env, state, home } = place();
    fs.mkdirSync(dirname(state), { recursive: true });
    if (kind === "link") fs.symlinkSync(outside, state);
    else {
      if (process.getuid?.() !== 0) continue;
      fs.mkdirSync(state);
      fs.chownSync(state, 65_534, 65_534);
    }
    await withServer({ env }, async (client) => {
      const project = join(home, "project");
      const refused = await run(client, ":", standIn(project), project).catch(String);
      assert.match(String(refused), /is no folder of this user/, kind);
      assert.equal(fs.readdirSync(project), []);
    });
    assert.equal(fs.readdirSync(outside).sort(), ["empty", "passwd"]);
  }
});

test("the journal follows no link, and reads no file of somebody else", async () => {
  const { outside } = place();
  const folder = tempDir();
  const victim = join(outside, "empty");
  const forged = join(outside, "forged");
  fs.writeFileSync(forged, JSON.stringify({ [victim]: ["1:1:x"] }));
  fs.symlinkSync(forged, join(folder, "stubs.json"));
  await openStubJournal(folder).sweep();
  assert.ok(fs.existsSync(victim));
  if (process.getuid?.() !== 0) return;
  fs.rmSync(join(folder, "stubs.json"));
  fs.copyFileSync(forged, join(folder, "stubs.json"));
  fs.chownSync(join(folder, "stubs.json"), 65_534, 65_534);
  await openStubJournal(folder).sweep();
  assert.ok(fs.existsSync(victim));
});

test.run();
