// A floor's own /tmp, /var/tmp and /run: sockets of daemons are there, and with the network on they could be reached.
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { mountsOf } from "../../src/sandbox/mounts.ts";
import { floorPlan, narrow } from "../../src/sandbox/floor.ts";
import { startServer } from "../harness/server.ts";
import { tempDir, tempDirIn } from "../harness/temp.ts";
import { refusal, type WireClient } from "../harness/wire_client.ts";
import { at, managed, planFrom, special } from "./policies.ts";

const uri = (path: string) => pathToFileURL(path).href;
const read = special("root", "read");
const networked = { network: "enabled" };
/** Only root may put something into /run. */
const PARENTS = ["/tmp", "/var/tmp", ...(process.getuid?.() === 0 ? ["/run"] : [])];

let runs = 0;
async function run(client: WireClient, argv: string[], options: Parameters<WireClient["startProcess"]>[2]) {
  const id = `p${runs++}`;
  await client.startProcess(id, argv, options);
  return (await client.collect(id)).stdout;
}

/** A daemon of the host that says hello, with a file beside its socket. */
async function daemon(parent: string): Promise<{ folder: string; socket: string; server: Server }> {
  const folder = tempDirIn(parent);
  const socket = join(folder, "socket");
  writeFileSync(join(folder, "file"), "HOST\n", { mode: 0o755 });
  const server = createServer((peer) => peer.end("HOST\n"));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return { folder, socket, server };
}

test("no policy and no working folder shows what lies in a floor's own folders", async () => {
  const daemons = await Promise.all(PARENTS.map(daemon));
  const folders = daemons.map(({ folder }) => folder);
  const connect = `for (const path of process.argv.slice(1)) {
    const socket = require("node:net").connect(path);
    socket.on("data", (data) => console.log(path, String(data))); socket.on("error", () => {});
  }`;
  const sockets = [process.execPath, "-e", connect, ...daemons.map(({ socket }) => socket)];
  const cat = ["/bin/sh", "-c", `cat ${folders.map((folder) => `${folder}/*`).join(" ")} 2>/dev/null; :`];
  const server = await startServer({ args: ["--sandbox-floor", "read-only", "--sandbox-network"] });
  const each = (access: string) => folders.map((folder) => at(folder, access));
  const policies: [string, unknown][] = [
    ["none", null],
    ["disabled", { permissions: { type: "disabled" }, windowsSandboxLevel: "disabled" }],
    ["read", managed([read], networked)],
    ["read, write", managed([special("root", "write")], networked)],
    ["the folders", managed([read, ...PARENTS.map((parent) => at(parent, "read"))], networked)],
    ["the folders, write", managed([read, ...PARENTS.map((parent) => at(parent, "write"))], networked)],
    ["below, read", managed([read, ...each("read")], networked)],
    ["below, write", managed([read, ...each("write")], networked)],
    ["both", managed([read, ...PARENTS.map((parent) => at(parent, "deny")), ...each("write")], networked)],
    ["the sockets", managed([read, ...daemons.map(({ socket }) => at(socket, "read"))], networked)],
    [
      "nothing else",
      managed(
        [special("minimal", "read"), at("/usr", "read"), at("/proc", "read"), ...each("read")],
        networked,
      ),
    ],
    [
      "nothing but the folders",
      managed([special("minimal", "read"), ...PARENTS.map((parent) => at(parent, "read"))], networked),
    ],
  ];
  try {
    const client = await server.connect();
    for (const [name, sandbox] of policies) {
      assert.is(await run(client, cat, { sandbox, cwd: uri("/") }), "", name);
      if (name !== "nothing else" && name !== "nothing but the folders") { // node may be elsewhere
        assert.is(await run(client, sockets, { sandbox, cwd: uri("/") }), "", name);
      }
      for (const cwd of folders.map(uri)) {
        const [code, message] = await refusal(client.startProcess(`c${runs++}`, cat, { sandbox, cwd }));
        assert.is(code, -32602, name);
        assert.match(message, /is hidden by the sandbox/);
      }
    }
    // Its own ones are there, and empty.
    assert.is(
      await run(client, ["/bin/sh", "-c", "ls -A /tmp /var/tmp; echo x >x && cat x"], { cwd: uri("/tmp") }),
      "/tmp:\n\n/var/tmp:\nx\n",
    );
    if (!PARENTS.includes("/run")) return;
    for (const sandbox of [null, managed([read, at("/run", "read"), ...each("read")])]) {
      const path = uri(join(folders.at(-1) ?? "", "file"));
      await refusal(client.call("fs/readFile", { path, sandbox }));
    }
  } finally {
    await server.stop();
    for (const one of daemons) one.server.close();
  }
});

test("the operator's roots show through a floor's own folders, and nothing beside them", async () => {
  const folder = tempDir();
  const root = join(folder, "root");
  mkdirSync(join(root, "deep"), { recursive: true });
  writeFileSync(join(folder, "beside"), "HOST\n");
  writeFileSync(join(root, "in"), "IN\n");
  const server = await startServer({
    args: ["--sandbox-floor", "workspace-write", "--sandbox-root", root, "--sandbox-network"],
  });
  try {
    const client = await server.connect();
    const script = `cat ${folder}/beside ${root}/in 2>/dev/null; echo x >${root}/deep/made && echo made; :`;
    const sh = ["/bin/sh", "-c", script];
    const wide = managed(
      [read, at(folder, "read"), at(root, "write"), special("slash_tmp", "write")],
      networked,
    );
    for (const sandbox of [null, wide]) {
      assert.is(await run(client, sh, { sandbox, cwd: uri(join(root, "deep")) }), "IN\nmade\n");
    }
    const narrower = managed([read, at(join(root, "deep"), "write")]);
    assert.is(await run(client, sh, { sandbox: narrower, cwd: uri("/") }), "made\n");
    const lesser = managed([read]);
    assert.is(await run(client, sh, { sandbox: lesser, cwd: uri(root) }), "IN\n");
  } finally {
    await server.stop();
  }
});

test("the program shows through, if it is one", async () => {
  const folder = tempDir();
  const context = { temporaryDirectories: [], privateTemp: true, cwd: "/" };
  writeFileSync(join(folder, "program"), "");
  const daemons = await daemon("/tmp");
  try {
    for (
      const [visible, shows] of [[join(folder, "program"), true], [folder, false], [
        daemons.socket,
        false,
      ]] as const
    ) {
      const most = await floorPlan({ kind: "read-only", roots: [], network: true }, {
        ...context,
        visible: [visible],
      });
      const asked = await planFrom([read], networked, { ...context, visible: [visible] });
      for (const plan of [most, narrow(asked, most)]) {
        assert.is(mountsOf(plan, { exists: () => true }).includes(visible), shows, visible);
      }
    }
  } finally {
    daemons.server.close();
  }
});

test.run();
