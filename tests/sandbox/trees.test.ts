// Trees under a pattern that denies, while the host changes them: what the helper's own checks hold, without the mounts
// that would hide what was there before.
import * as fs from "node:fs";
import { basename, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { HelperPolicy } from "../../src/files/helper_messages.ts";
import { policedFiles } from "../../src/files/helper_policy.ts";
import { localFiles } from "../../src/files/local.ts";
import { codeOf } from "../harness/code_of.ts";
import { tempDir } from "../harness/temp.ts";

const RACE_MS = 1_500;
/** Turns of the event loop: many times what a copy of the small tree takes. */
const LONGEST_PAUSE = 400;
const SECRET = "the secret";
/** A copy of so many files takes longer than the host needs for a change. */
const MANY = 300;

/** A folder with `ws/…`, in which everything below `ws/hidden` and every `.env` is denied. */
function tree() {
  const root = tempDir();
  const at = (path: string) => join(root, path);
  for (const folder of ["ws/tree/last", "ws/hidden", "outside"]) {
    fs.mkdirSync(at(folder), { recursive: true });
  }
  fs.writeFileSync(at("ws/hidden/key"), SECRET);
  fs.writeFileSync(at("ws/tree/last/plain"), "plain");
  const pattern = (rest: string) => ({ base: at("ws"), rest, depth: undefined });
  const policy: HelperPolicy = {
    base: "read",
    rules: [{ path: at("ws"), access: "write", kind: "directory" }, {
      path: at("outside"),
      access: "write",
      kind: "directory",
    }],
    globs: [pattern("**/.env"), pattern("hidden/*")],
  };
  return { at, files: policedFiles(localFiles(), policy) };
}

/** Lets something else run between; true until it is over. */
async function during(work: Promise<unknown>, turn: () => void): Promise<void> {
  let over = false;
  const end = () => over = true;
  work.then(end, end);
  while (!over) {
    turn();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A folder becomes a link to another one, and a folder again: now and then, at ever other times. */
function swapper(folder: string, target: string): () => void {
  let isLink = false;
  let [waited, pause] = [0, 1];
  return () => {
    if (++waited < pause) return;
    [waited, pause] = [0, pause % LONGEST_PAUSE + 1];
    if (isLink) {
      fs.unlinkSync(folder);
      fs.renameSync(`${folder}.real`, folder);
    } else {
      fs.renameSync(folder, `${folder}.real`);
      fs.symlinkSync(target, folder);
    }
    isLink = !isLink;
  };
}

test("a file that is made while its tree is copied is not copied when a pattern denies it", async () => {
  const { at, files } = tree();
  for (let index = 0; index < MANY; index++) fs.writeFileSync(at(`ws/tree/a${index}`), "");
  const copied = files.copy(at("ws/tree"), at("outside/copy"), { recursive: true });
  let made = false;
  await during(copied, () => {
    if (made || !fs.existsSync(at("outside/copy/a0"))) return;
    fs.writeFileSync(at("ws/tree/last/.env"), SECRET);
    made = true;
  });
  assert.ok(made);
  assert.is(await codeOf(copied), "EACCES");
  assert.not(fs.existsSync(at("outside/copy/last/.env")));
});

test("nothing that a pattern denies is made by the copy of a tree", async () => {
  const { at, files } = tree();
  fs.mkdirSync(at("outside/tree"));
  fs.writeFileSync(at("outside/tree/.env"), "new");
  assert.is(await codeOf(files.copy(at("outside/tree"), at("ws/copy"), { recursive: true })), "EACCES");
  assert.equal(fs.readdirSync(at("ws/copy")), []);
});

test("a folder that becomes a link while it is copied leads to nothing that is denied", async () => {
  const { at, files } = tree();
  const swap = swapper(at("ws/tree/last"), at("ws/hidden"));
  let good = 0;
  for (const until = Date.now() + RACE_MS; Date.now() < until;) {
    const copied = files.copy(at("ws/tree"), at("outside/copy"), { recursive: true });
    await during(copied, swap);
    await copied.catch(() => {});
    // A link is copied as a link; what it leads to is no copy.
    const last = fs.lstatSync(at("outside/copy/last"), { throwIfNoEntry: false });
    const names = last?.isDirectory() ? fs.readdirSync(at("outside/copy/last")) : [];
    if (names.includes("plain")) good++;
    assert.not(names.includes("key"));
    fs.rmSync(at("outside/copy"), { recursive: true, force: true });
  }
  assert.ok(good > 0, "nothing was ever copied: the race was not a race");
});

test("a folder that becomes a link while it is listed or walked does not show what is denied", async () => {
  const { at, files } = tree();
  const swap = swapper(at("ws/tree/last"), at("ws/hidden"));
  fs.mkdirSync(at("ws/hidden/sub"));
  fs.writeFileSync(at("ws/hidden/sub/key2"), SECRET);
  let good = 0;
  for (const until = Date.now() + RACE_MS; Date.now() < until;) {
    for (const followDirectorySymlinks of [false, true]) {
      const walking = files.walk(at("ws/tree"), { followDirectorySymlinks });
      const listing = files.list(at("ws/tree/last/sub")).catch(() => []);
      await during(Promise.allSettled([walking, listing]), swap);
      const names = (await walking).entries.map(({ path }) => basename(path.pathname));
      if (names.includes("plain")) good++;
      for (const hidden of ["key", "key2", "sub"]) assert.not(names.includes(hidden), hidden);
      assert.equal(await listing, []);
    }
  }
  assert.ok(good > 0, "nothing was ever walked: the race was not a race");
});

test("trees without anything that is denied are copied, walked and listed as ever", async () => {
  const { at, files } = tree();
  fs.symlinkSync("plain", at("ws/tree/last/link"));
  fs.symlinkSync("tree", at("ws/alias"));
  fs.chmodSync(at("ws/tree/last"), 0o750);
  await files.copy(at("ws/tree"), at("ws/copy"), { recursive: true });
  assert.equal(fs.readdirSync(at("ws/copy/last")), ["link", "plain"]);
  assert.is(fs.readlinkSync(at("ws/copy/last/link")), "plain");
  assert.is(fs.statSync(at("ws/copy/last")).mode & 0o777, 0o750);
  const shown = async (path: string, followDirectorySymlinks: boolean) =>
    (await files.walk(at(path), { followDirectorySymlinks })).entries.map(({ path }) =>
      path.pathname.slice(at("").length + 1)
    );
  assert.equal(await shown("ws/tree", false), ["ws/tree/last", "ws/tree/last/plain"]);
  assert.equal(await shown("ws/alias", true), ["ws/alias/last", "ws/alias/last/plain"]);
  assert.equal((await files.list(at("ws/alias"))).map(({ name }) => name), ["last"]);
  assert.is(await codeOf(files.copy(at("ws/tree"), at("ws/other"))), "INVALID_REQUEST");
});

test.run();
