// Denied patterns against a sandbox that moves folders, and on disks with links, closed folders and names that are no text.
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MAX_GLOB_SCAN_ENTRIES, scanBudget, scanGlob } from "../../src/sandbox/glob_scan.ts";
import { connected } from "../harness/connected.ts";
import { reachableProgram } from "../harness/reachable.ts";
import { startServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { type JsonObject, outcome, type WireClient } from "../harness/wire_client.ts";
import { at, glob, managed, planFrom, special } from "./policies.ts";

const SECRET = "the secret";
const NO_TEXT = Buffer.from([0xff]);
const uri = (path: string) => pathToFileURL(path).href;
const read = special("root", "read");

let client: WireClient;
let W: string;

connected((c) => {
  client = c;
});
test.before.each(() => {
  W = tempDir();
});

/** Files with the secret in them (`/` at the end: a folder; ` -> `: a link). */
function make(...names: string[]): void {
  for (const name of names) {
    const [path = "", target] = name.split(" -> ");
    const full = join(W, path);
    fs.mkdirSync(path.endsWith("/") ? full : dirname(full), { recursive: true });
    if (target !== undefined) fs.symlinkSync(target, full);
    else if (!path.endsWith("/")) fs.writeFileSync(full, SECRET);
  }
}

/** A policy that may write to `ws` and denies patterns. */
const workspace = (...patterns: string[]) =>
  managed([read, at(`${W}/ws`, "write"), ...patterns.map((one) => glob(`${W}/${one}`))], {
    cwd: uri(`${W}/ws`),
  });
/** One that may only read. */
const reader = (...patterns: string[]) => managed([read, ...patterns.map((one) => glob(`${W}/${one}`))]);

/** Until what a pattern matched is looked up again. */
const aged = () => new Promise((resolve) => setTimeout(resolve, 1_050));

let runs = 0;
/** What a script prints, or the error of its start. */
async function sh(script: string, sandbox: JsonObject, on = client): Promise<string> {
  const id = `p${runs++}`;
  const options = { sandbox, cwd: uri(W) };
  const started = await outcome(on.startProcess(id, ["/bin/sh", "-c", `exec 2>&1; ${script}`], options));
  return Array.isArray(started) ? started.join(" ") : (await on.collect(id)).stdout;
}

async function readFile(path: string | URL, sandbox: JsonObject, on = client): Promise<string> {
  const answer = await outcome(
    on.call("fs/readFile", { path: path instanceof URL ? path.href : uri(path), sandbox }),
  );
  return Array.isArray(answer)
    ? answer.join(" ")
    : Buffer.from(String(answer["dataBase64"]), "base64").toString();
}

/** That neither processes nor file requests get at something, by some paths. */
async function denied(sandbox: JsonObject, ...paths: string[]): Promise<void> {
  for (const path of paths.map((one) => join(W, one))) {
    const output = await sh(`cat ${path}; echo end`, sandbox);
    assert.match(output, "end\n");
    assert.not.match(output, SECRET);
    assert.match(await readFile(path, sandbox), /Permission denied/);
  }
}

/** That a policy is refused, for processes and file requests. */
async function refused(sandbox: JsonObject, why: RegExp): Promise<void> {
  make("any");
  for (const answer of [await sh("echo ran", sandbox), await readFile(`${W}/any`, sandbox)]) {
    assert.match(answer, /^-32602 /);
    assert.match(answer, why);
  }
}

test("folders above a match, and the one that a pattern begins in, cannot be moved", async () => {
  make("ws/conf/.env", "ws/a/b/keys/k", "ws/later/deep/", "ws/free/file");
  const sandbox = workspace("ws/conf/**/.env", "ws/**/keys/**", "ws/later/deep/*.key");
  const folders = ["conf", "a", "a/b", "a/b/keys", "later", "later/deep"];
  const inodes = () => folders.map((one) => fs.statSync(`${W}/ws/${one}`, { throwIfNoEntry: false })?.ino);
  const before = inodes();
  const moves = folders.map((one) => `mv ${one} moved-${one.replaceAll("/", "-")};`);
  const output = await sh(
    `cd ws; ${moves.join(" ")} mv free gone && echo free; cat */.env */k */*/k */*/*/k`,
    sandbox,
  );
  assert.equal(inodes(), before, output);
  assert.match(output, "free\n");
  assert.not.match(output, SECRET);
  const everything = managed([special("root", "write"), glob(`${W}/ws/conf/**/.env`)]);
  assert.match(await sh(`mv ws/conf ws/moved; cat ws/*/.env`, everything), /cannot move/);
});

test("a pattern that begins behind a link which the sandbox could replace is refused", async () => {
  make("real/.env", "ws/", "ws/link -> ../real", "ws/nowhere -> ../none", "firm -> real");
  for (const pattern of ["ws/link/**/.env", "ws/link/.env", "ws/link/**", "ws/nowhere/**/.env"]) {
    await refused(workspace(pattern), /which the sandbox could replace/);
  }
  await denied(workspace("firm/**/.env"), "real/.env", "firm/.env");
  await denied(reader("ws/link/**/.env"), "real/.env", "ws/link/.env");
  make("all -> /");
  await refused(reader("a[l]l"), /must not deny everything/);
});

test("a pattern is followed through links, also one that ends in all contents", async () => {
  make(
    "data/proj/.env",
    "home -> data",
    "vault/k",
    "secret1 -> vault",
    "tree/in/",
    "tree/in/x -> ../../data",
  );
  await denied(reader("h*/proj/.env"), "home/proj/.env", "data/proj/.env");
  await denied(reader("secret*/**"), "secret1/k", "vault/k");
  await denied(reader("tree/**/.env"), "tree/in/x/proj/.env", "data/proj/.env");
  await denied(workspaceBeside("h*/proj/.env"), "home/proj/.env", "data/proj/.env");
  assert.is(await readFile(`${W}/data/proj/.env`, reader("h*/other/.env", "s*/proj/.env")), SECRET);
});

/** The links lie where the sandbox may not write. */
const workspaceBeside = (...patterns: string[]) => {
  make("ws/");
  return workspace(...patterns);
};

test("what matches behind a link that the sandbox could replace is refused, unless it is denied without the link", async () => {
  make(
    "out/.env",
    "out/k",
    "ws/a/.env",
    "ws/b/.env -> ../a/.env",
    "ws/loop -> .",
    "ws/dir -> a",
    "ws/null.env -> /dev/null",
    "ws/broken.env -> a/.env/x",
    "ws/round.env -> round.env",
  );
  await denied(workspace("ws/**/*.env"), "ws/a/.env", "ws/b/.env", "ws/dir/.env", "ws/loop/loop/a/.env");
  make("ws/secret1 -> ../out");
  await aged();
  for (const pattern of ["ws/**/*.env", "ws/secret*/**", "ws/s*/k"]) {
    await refused(workspace(pattern), /ws\/secret1`, which the sandbox could replace/);
  }
  const both = managed([read, at(`${W}/ws`, "write"), at(`${W}/out`, "deny"), glob(`${W}/ws/**/*.env`)]);
  await denied(both, "ws/secret1/.env", "out/.env");
  await denied(reader("ws/**/*.env"), "ws/secret1/.env", "out/.env");
});

test("a folder whose name is no text is looked into: what matches there is refused", async () => {
  const odd = Buffer.concat([Buffer.from(`${W}/ws/odd`), NO_TEXT]);
  make("ws/.env");
  fs.mkdirSync(odd);
  fs.writeFileSync(Buffer.concat([odd, Buffer.from("/plain")]), "");
  await denied(workspace("ws/**/.env"), "ws/.env");
  fs.writeFileSync(Buffer.concat([odd, Buffer.from("/.env")]), SECRET);
  await aged();
  await refused(workspace("ws/**/.env"), /is not UTF-8 and cannot be denied/);
  await denied(workspace("ws/.env"), "ws/.env"); // it cannot match there
  fs.rmSync(odd, { recursive: true });
  fs.symlinkSync("/usr/lib", odd);
  await aged();
  await refused(workspace("ws/**/.env"), /is not UTF-8/);
  fs.rmSync(odd);
  fs.symlinkSync(odd, `${W}/ws/link`);
  await aged();
  await refused(workspace("ws/**/.env"), /is not UTF-8/);
});

test("a folder that cannot be listed is hidden as a whole when something in it could match", async () => {
  if (process.getuid?.() !== 0) return; // who is root can list everything, and make the scene for somebody else
  const uid = 64_117;
  for (let folder = W; folder !== "/tmp" && folder !== "/"; folder = dirname(folder)) {
    fs.chmodSync(folder, 0o755);
  }
  make(
    "home/",
    "ws/open/.env",
    "ws/only-through/.env",
    "ws/closed/.env",
    "ws/names-only/.env",
    "ws/other/x",
    "ws/through -> closed",
  );
  const env = {
    HOME: `${W}/home`,
    XDG_STATE_HOME: undefined,
    XDG_RUNTIME_DIR: `${W}/home`,
    TMPDIR: undefined,
  };
  for (const path of ["", ...fs.readdirSync(W, { recursive: true, encoding: "utf8" })]) {
    fs.lchownSync(join(W, path), uid, uid);
  }
  const server = await startServer({ uid, env, program: reachableProgram(), cwd: "/" });
  try {
    const user = await server.connect();
    for (
      const sandbox of [workspace("ws/**/.env"), reader("ws/**/.env"), workspace("ws/*/.env", "ws/*/*/.env")]
    ) {
      fs.chmodSync(`${W}/ws/only-through`, 0o311);
      fs.chmodSync(`${W}/ws/closed`, 0);
      fs.chmodSync(`${W}/ws/names-only`, 0o444);
      const script =
        "cd ws; cat only-through/.env; chmod 755 closed only-through names-only; cat closed/.env */.env; cat other/x";
      assert.is((await sh(script, sandbox, user)).split(SECRET).length, 2, "only the last");
      assert.not.match(await readFile(`${W}/ws/only-through/.env`, sandbox, user), SECRET);
    }
    // What nobody but others may enter is left alone.
    fs.chownSync(`${W}/ws/closed`, 0, 0);
    fs.chmodSync(`${W}/ws/closed`, 0o700);
    const plan = `grep -c ${W}/ws/closed /proc/self/mountinfo; :`;
    assert.is(await sh(plan, workspace("ws/c*/.env"), user), "0\n");
    await user.terminate();
  } finally {
    await server.stop();
    for (const name of ["only-through", "closed", "names-only"]) fs.chmodSync(`${W}/ws/${name}`, 0o755);
  }
});

test("only what can still match is looked at, and each folder once, whatever links lead to it", async () => {
  make("top/a/deep/x.env", "top/b/deep/y.env", "top/b/up -> ../..", "top/b/a -> ../a");
  make(...Array.from({ length: 50 }, (_, index) => `top/c/many/f${index}`));
  const base = `${W}/top`;
  const few = { ...scanBudget(), entries: 9 };
  const found = await scanGlob({ base, rest: "[ab]/deep/*.env", depth: undefined }, few);
  assert.equal(found.map(({ path }) => path.replace(base, "")).sort(), ["/a/deep/x.env", "/b/deep/y.env"]);
  const budget = scanBudget();
  const all = await scanGlob({ base, rest: "**/*.env", depth: undefined }, budget);
  assert.equal(all.map(({ path, links }) => [path.replace(base, ""), links.length]).sort(), [
    ["/a/deep/x.env", 0],
    ["/b/deep/y.env", 0],
  ]);
  assert.ok(MAX_GLOB_SCAN_ENTRIES - budget.entries < 80, `${MAX_GLOB_SCAN_ENTRIES - budget.entries}`);
  // A depth counts from where a pattern begins, whichever way is the shortest.
  make("deep/1/2/3/.env", "deep/short -> 1/2/3");
  const shallow = await scanGlob({ base: `${W}/deep`, rest: "**/.env", depth: 2 }, scanBudget());
  assert.equal(shallow.map(({ path }) => path.replace(W, "")), ["/deep/1/2/3/.env"]);
});

test("the folder that a pattern begins in is pinned, also while nothing matches", async () => {
  make("ws/conf/");
  const plan = await planFrom([read, at(`${W}/ws`, "write"), glob(`${W}/ws/conf/**/.env`)]);
  assert.ok(plan.rules.some((rule) => rule.path === `${W}/ws/conf` && rule.pin));
});

test.run();
