// When no sandbox can be made: an error of its own for each reason, on pipes, in a terminal and for files, and nothing
// is executed or written.
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HINTS, type UnavailableReason } from "../../src/sandbox/unavailable.ts";
import { connected } from "../harness/connected.ts";
import { childrenOf, until } from "../harness/proc.ts";
import { programUnderTest, register } from "../harness/program.ts";
import { tempDir } from "../harness/temp.ts";
import { connectWire, type JsonObject, refusal, type WireClient } from "../harness/wire_client.ts";
import { at, glob, managed, skip, special } from "./policies.ts";
import { requireBwrap } from "./run.ts";

const CANNOT = "sandbox intent cannot be enforced on this executor: ";
const isRoot = process.getuid?.() === 0;
const uri = (path: string) => pathToFileURL(path).href;
const readAll = special("root", "read");

let client: WireClient;
let serverPid: number;

connected((opened, server) => {
  client = opened;
  serverPid = server.pid;
});

/** Asks for the same in every way there is; the errors, after a look whether anything came of it. */
async function askedInEveryWay(sandbox: unknown, folder: string, on: WireClient) {
  const before = fs.readdirSync(folder);
  const made = join(folder, "made");
  const touch = (tty: boolean) =>
    refusal(on.startProcess("p", ["touch", made], { cwd: uri(folder), sandbox, tty }));
  const errors = [
    await touch(false),
    await touch(true),
    await refusal(on.call("fs/writeFile", { path: uri(made), dataBase64: "", sandbox })),
  ];
  assert.equal(fs.readdirSync(folder), before);
  return errors;
}

test("a policy that is malformed, contradicts itself or names what is not there is refused in words", async () => {
  const folder = tempDir();
  fs.writeFileSync(join(folder, "file"), "");
  const write = at(folder, "write");
  const cases: [sandbox: unknown, text: RegExp][] = [
    ["x", /invalid type: string "x", expected struct WireFileSystemSandboxContext/],
    [{ windowsSandboxLevel: "disabled" }, /missing field `permissions`/],
    [{ permissions: { type: "managed" }, windowsSandboxLevel: "disabled" }, /missing field `file_system`/],
    [
      { permissions: { type: "elsewhere" }, windowsSandboxLevel: "disabled" },
      /unknown variant `elsewhere`, expected one of `managed`, `disabled`, `external`/,
    ],
    [managed([at(folder, "perhaps")]), /unknown variant `perhaps`/],
    [managed([{ ...write, surprise: true }]), /unknown field `surprise`, expected one of `path`, `access`/],
    [managed([write, glob("/**/[")]), /glob pattern `\*\*\/\[` is malformed/],
    [managed([write, glob("*.env")]), /a relative glob pattern takes `cwd` in the sandbox/],
    [
      managed([readAll, special("project_roots", "write")]),
      /`project_roots` takes `cwd` or `workspaceRoots`/,
    ],
    [managed([write, special("unheard_of", "deny")]), /a special path that is not known cannot be denied/],
    [managed([readAll, write], { useLegacyLandlock: true }), /useLegacyLandlock is not supported/],
    [
      managed([readAll, at(join(folder, "gone"), "write")]),
      /gone` does not exist and cannot be made writable: make it first/,
    ],
    [
      managed([readAll, at(join(folder, "file/below"), "write")]),
      /file\/below` is below something that is no directory/,
    ],
  ];
  const texts = new Set<string>();
  for (const [sandbox, text] of cases) {
    for (const [code, message] of await askedInEveryWay(sandbox, folder, client)) {
      assert.is(code, -32602, message);
      assert.match(message, text);
      texts.add(message);
    }
  }
  assert.is(texts.size, cases.length, "each has its own text, the same in every way");
  const { exitCode } = await client.startProcess("p", ["true"], { sandbox: managed([readAll]) })
    .then(() => client.collect("p"));
  assert.is(exitCode, 0, "the id is free");
});

test("a root that is missing may be skipped, and is refused once it is needed", async () => {
  const folder = tempDir();
  const sandbox = managed([readAll, at(folder, "write"), at(join(folder, "gone"), "write", skip)]);
  await client.startProcess("p", ["true"], { sandbox });
  assert.is((await client.collect("p")).exitCode, 0);
  assert.equal(fs.readdirSync(folder), []);
});

test("a program, a folder to start in that is missing or hidden is refused", async () => {
  const folder = tempDir();
  const sandbox = managed([readAll, at(folder, "write")]);
  const start = (argv: string[], more: JsonObject = {}) =>
    refusal(client.startProcess("p", argv, { cwd: uri(folder), sandbox, ...more }));
  const touch = ["/usr/bin/touch", join(folder, "made")];
  assert.match((await start(["/no/such"]))[1], /No such file or directory \(os error 2\)/);
  assert.match((await start(touch, { cwd: uri(join(folder, "none")) }))[1], /No such file/);
  const hidden = managed([readAll, at("/usr/bin/touch", "deny")]);
  assert.match(
    (await start(touch, { sandbox: hidden }))[1],
    /the sandbox hides the program `\/usr\/bin\/touch`/,
  );
  const noCwd = managed([readAll, at(folder, "deny")]);
  assert.match((await start(touch, { sandbox: noCwd }))[1], /cwd `.*` is hidden by the sandbox/);
  assert.equal(fs.readdirSync(folder), []);
  await until("nothing runs", () => childrenOf(serverPid).length === 0);
});

test("a helper that is killed in the middle of a request fails it (-32603); the next one has another", async () => {
  const folder = tempDir();
  const sandbox = managed([readAll, at(folder, "write")]);
  const write = (name: string) =>
    client.call("fs/writeFile", { path: uri(join(folder, name)), dataBase64: "", sandbox });
  await write("first");
  const [bwrap = 0] = childrenOf(serverPid);
  const helper = childrenOf(childrenOf(bwrap)[0] ?? 0)[0] ?? 0;
  assert.match(fs.readFileSync(`/proc/${helper}/cmdline`, "utf8"), "fs-helper");
  process.kill(helper, "SIGSTOP");
  const failed = refusal(write("second"));
  await client.ping(); // the request is there
  process.kill(helper, "SIGKILL");
  const [code, message] = await failed;
  assert.is(code, -32603);
  assert.match(message, /the file helper has ended.*look whether .* ask again/);
  assert.equal(fs.readdirSync(folder), ["first"]);
  await write("third");
  assert.equal(fs.readdirSync(folder), ["first", "third"]);
  assert.is.not(childrenOf(serverPid)[0], bwrap);
});

/** A server below some other program, on that one's terms. */
async function serverBelow(before: string[], args: string[]): Promise<{ url: string; child: ChildProcess }> {
  const [program, first] = programUnderTest();
  const child = spawn(before[0] ?? "", [...before.slice(1), program, ...first, "serve", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  register(child.pid ?? 0, child);
  const url = await new Promise<string>((ok) => createInterface({ input: child.stdout }).once("line", ok));
  return { url, child };
}

/** A server on such a machine refuses every sandbox, and with a floor everything, for this reason. */
async function refusesBelow(before: string[], reasons: readonly UnavailableReason[]): Promise<void> {
  for (const floor of [[], ["--sandbox-floor", "read-only"]]) {
    const { url, child } = await serverBelow(before, floor);
    const other = await connectWire(url);
    const folder = tempDir();
    try {
      const asked = managed([readAll, at(folder, "write")]);
      for (const sandbox of floor.length > 0 ? [asked, null] : [asked]) {
        for (const [code, message] of await askedInEveryWay(sandbox, folder, other)) {
          assert.is(code, -32600);
          const reason = reasons.find((one) => message.startsWith(CANNOT + one));
          assert.ok(reason, message);
          assert.ok(message.endsWith(`; hint: ${HINTS[reason ?? "not-held"]}`), message);
        }
      }
      if (floor.length > 0) continue;
      await other.startProcess("q", ["true"]);
      assert.is((await other.collect("q")).exitCode, 0, "unsandboxed it runs");
      assert.equal(await other.call("fs/writeFile", { path: uri(join(folder, "made")), dataBase64: "" }), {});
    } finally {
      await other.terminate();
      const ended = new Promise((ok) => child.once("exit", ok));
      child.kill("SIGTERM");
      await ended;
    }
  }
}

/** In mounts of its own; as an ordinary user that takes a user namespace. */
const inMounts = (script: string) => [
  "unshare",
  ...isRoot ? ["-m"] : ["-U", "-r", "-m"],
  "sh",
  "-c",
  `set -e\n${script}\nexec "$@"`,
  "sh",
];
/** Where we are not root, bwrap belongs to nobody in a user namespace. */
const orUntrusted = (reason: UnavailableReason): UnavailableReason[] =>
  isRoot ? [reason] : [reason, "bwrap-untrusted"];

test("no bubblewrap: bwrap-missing", async () => {
  const folder = dirname(requireBwrap());
  const real = tempDir();
  // Its folder is another one, with hardly anything in it.
  const script = `mount --bind ${folder} ${real}
mount -t tmpfs none ${folder}
for name in sh env setsid true touch; do ${real}/ln -s ${real}/$name ${folder}/; done`;
  await refusesBelow(inMounts(script), ["bwrap-missing"]);
});

test("one that is none: bwrap-untrusted; an old one: bwrap-too-old", async () => {
  const bwrap = requireBwrap();
  await refusesBelow(inMounts(`mount --bind /etc/passwd ${bwrap}`), ["bwrap-untrusted"]);
  const old = join(tempDir(), "bwrap");
  fs.writeFileSync(old, "#!/bin/sh\necho bubblewrap 0.7.0\n", { mode: 0o755 });
  await refusesBelow(inMounts(`mount --bind ${old} ${bwrap}`), orUntrusted("bwrap-too-old"));
});

test("no user namespaces: userns-refused; no network namespaces: network-namespace-refused", async () => {
  const limited = (name: string) => [
    ...["unshare", "-U", "-r", "sh", "-c"],
    `echo 0 >/proc/sys/user/${name}; exec "$@"`,
    "sh",
  ];
  await refusesBelow(limited("max_user_namespaces"), orUntrusted("userns-refused"));
  await refusesBelow(limited("max_net_namespaces"), orUntrusted("network-namespace-refused"));
});

test("a /proc that is masked in part, as in containers: proc-mount-refused", async () => {
  await refusesBelow(inMounts("mount -t tmpfs none /proc/irq"), orUntrusted("proc-mount-refused"));
});

test("every reason has a text of its own that says what to do", () => {
  const texts = Object.values(HINTS);
  assert.is(new Set(texts).size, texts.length);
  const listed = fs.readFileSync("docs/sandbox.md", "utf8");
  for (const reason of Object.keys(HINTS)) assert.match(listed, `\`${reason}\``);
});

test.run();
