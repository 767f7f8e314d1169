// What the attacks are let loose on: a tree of marked files that belongs to the attacker, so that file permissions stop
// nothing, and a bystander process with sockets, a terminal and a secret.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { atExit } from "../../harness/at_exit.ts";
import type { AttackPolicy } from "./attack.ts";
import { type Bystander, startBystander } from "./bystander.ts";

/** Owner of a set-uid program in the scene, when the test may give files away: nobody in particular. */
export const SET_UID_OWNER = 64_118;
const OLD = new Date("2001-02-03T04:05:06Z");

/** Places and secrets; the tree is as new before each attack. */
export interface Scene {
  /** In the name of everything that an attack leaves anywhere, and in the command line of its processes. */
  readonly nonce: string;
  readonly uid: number;
  readonly base: string;
  /** The writable root and working folder. */
  readonly root: string;
  readonly outside: string;
  /** A denied folder outside the root. */
  readonly secret: string;
  readonly home: string;
  /** Sockets and the like; not part of the tree. */
  readonly run: string;
  /** In every secret; in no script, so that output which holds it was read by an attack. */
  readonly token: string;
  readonly bystander: Bystander;
  readonly policy: AttackPolicy;
  /** Makes the tree anew. */
  reset(): void;
  /** Takes what is there now as what has to stay: the test itself has changed something. */
  remember(): void;
  /** What is different outside, in words; undefined when nothing is. */
  damage(): string | undefined;
  /** Ends the bystander and removes everything. */
  close(): Promise<void>;
}

/** How a scene is made. */
export interface SceneOptions {
  /** Who attacks. */
  readonly uid: number;
  readonly network?: boolean;
  /** Writable, or nothing is. */
  readonly writable?: boolean;
}

/** Makes the scene. It lies outside the temporary folders, because a private /tmp would hide it. */
export async function makeScene(options: SceneOptions): Promise<Scene> {
  const { uid } = options;
  const base = realpathSync(mkdtempSync(join(sceneParent(), "exec-server-attacks-")));
  atExit(() => rmSync(base, { recursive: true, force: true, maxRetries: 3 }));
  const nonce = `attack${randomBytes(6).toString("hex")}`;
  const token = `SECRET${randomBytes(8).toString("hex")}`;
  const at = (name: string) => join(base, name);
  const places = {
    root: at("work"),
    outside: at("outside"),
    secret: at("secret"),
    home: at("home"),
    run: at("run"),
  };
  giveTo(uid, base);
  chmodSync(base, 0o755);
  mkdirSync(places.run);
  giveTo(uid, places.run);
  if (process.getuid?.() === 0) makeSpecialFiles(places.run, uid);
  const bystander = await startBystander({ uid, run: places.run, nonce, token });
  let before = new Map<string, string>();
  return {
    nonce,
    uid,
    base,
    ...places,
    token,
    bystander,
    policy: {
      name: `${options.writable === false ? "read-only" : "workspace"}${options.network ? " + network" : ""}`,
      writableRoots: options.writable === false ? [] : [places.root],
      protectedNames: [".git", ".agents", ".codex"],
      deny: [places.secret, join(places.root, ".env"), join(places.root, "box/private")],
      denyGlobs: [`${places.root}/**/*.pem`],
      network: options.network ?? false,
    },
    reset() {
      for (const name of readdirSync(base)) {
        if (name !== "run") rmSync(join(base, name), { recursive: true, force: true });
      }
      buildTree(places, token, uid);
      before = picture(base);
    },
    remember() {
      before = picture(base);
    },
    damage: () => difference(before, picture(base)),
    async close() {
      await bystander.stop();
      rmSync(base, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** A folder that the attacker can reach and that no sandbox hides. */
function sceneParent(): string {
  const fits = (folder: string) => {
    try {
      accessSync(folder, constants.W_OK);
      return (lstatSync(folder).mode & 0o001) !== 0 || process.getuid?.() !== 0;
    } catch {
      return false;
    }
  };
  const found = ["/srv", "/opt", "/home", homedir()].find(fits);
  if (found === undefined) throw new Error("no folder outside /tmp for the attacks: HOME cannot be written");
  return found;
}

function buildTree(
  { root, outside, secret, home }: Record<"root" | "outside" | "secret" | "home", string>,
  token: string,
  uid: number,
): void {
  const file = (path: string, text = "canary\n", mode = 0o644) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, mode);
    utimesSync(path, OLD, OLD);
  };
  const secretText = (what: string) => `${token} ${what}\n`;
  for (const name of ["append", "unlink", "rename", "truncate", "chmod", "utime", "move-over", "replace"]) {
    file(join(outside, name));
  }
  for (const name of ["via-link", "via-new-file", "hardlink-target", "hardlinked", "folder/file"]) {
    file(join(outside, name));
  }
  file(join(home, ".profile"));
  file(join(secret, "token"), secretText("denied folder"));
  file(join(secret, "linked"), secretText("hard link"));
  file(join(secret, `${token}-name`), "");
  for (const repository of ["", "sub/pkg", "sub2/pkg"]) {
    const git = join(root, repository, ".git");
    file(join(git, "config"), "[core]\n");
    file(join(git, "HEAD"), "ref: refs/heads/main\n");
    file(join(git, "objects/ab/cd"));
    file(join(git, "hooks/README"));
  }
  file(join(root, ".agents/note"));
  file(join(root, ".env"), secretText("denied file"));
  file(join(root, "keys/server.pem"), secretText("denied glob"));
  file(join(root, "box/private/token"), secretText("denied folder in the root"));
  file(join(root, "plain"));
  mkdirSync(join(root, "mnt"));
  symlinkSync("../outside/via-link", join(root, "link-out"));
  symlinkSync("../outside", join(root, "folder-out"));
  symlinkSync(".env", join(root, "link-secret"));
  symlinkSync("../secret", join(outside, "alias"));
  linkSync(join(outside, "hardlinked"), join(root, "hardlinked"));
  linkSync(join(secret, "linked"), join(root, "hardlinked-secret"));
  giveAway([root, outside, secret, home], uid);
}

/** What only root can make: a set-uid program, and a device that does no harm. */
function makeSpecialFiles(folder: string, uid: number): void {
  const program = join(folder, "set-uid-cat");
  copyFileSync("/bin/cat", program);
  chownSync(program, SET_UID_OWNER, SET_UID_OWNER);
  chmodSync(program, 0o4755);
  const device = join(folder, "null-device");
  execFileSync("mknod", ["-m", "666", device, "c", "1", "3"]);
  giveTo(uid, device);
}

/** Makes a file the attacker's; without root it is ours already, and we are the attacker. */
export function giveTo(uid: number, path: string): void {
  if (process.getuid?.() === 0) chownSync(path, uid, uid);
}

function giveAway(folders: string[], uid: number): void {
  for (const folder of folders) {
    giveTo(uid, folder);
    for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      const path = join(folder, name);
      if (!lstatSync(path).isSymbolicLink()) giveTo(uid, path);
    }
  }
}

/** What nobody may change: all that lies outside the root, and in it the protected names and nested repositories. */
function picture(base: string): Map<string, string> {
  const seen = new Map<string, string>();
  for (const name of readdirSync(base)) {
    if (name === "run") continue;
    if (name !== "work") look(join(base, name), seen);
  }
  const root = join(base, "work");
  seen.set(root, existsSync(root) ? `inode ${lstatSync(root).ino}` : "missing");
  const kept = [".git", ".agents", ".codex", "sub/pkg/.git", "sub2/pkg/.git", ".env", "keys/server.pem"];
  for (const name of [...kept, "box/private"]) look(join(root, name), seen);
  return seen;
}

function look(path: string, seen: Map<string, string>): void {
  if (!existsSync(path)) return;
  const stat = lstatSync(path);
  const content = stat.isFile() ? readFileSync(path, "latin1").slice(0, 4096) : "";
  const link = stat.isSymbolicLink() ? readlinkSync(path) : "";
  const times = stat.isFile() ? stat.mtimeMs : "";
  seen.set(
    path,
    [stat.ino, stat.mode, stat.uid, stat.isFile() ? stat.size : "", times, content, link].join("|"),
  );
  if (!stat.isDirectory()) return;
  for (const name of readdirSync(path)) look(join(path, name), seen);
}

function difference(before: Map<string, string>, after: Map<string, string>): string | undefined {
  const found: string[] = [];
  for (const [path, was] of before) {
    const is = after.get(path);
    if (is === undefined) found.push(`${path} is gone`);
    else if (is !== was) found.push(`${path} has changed`);
  }
  for (const path of after.keys()) if (!before.has(path)) found.push(`${path} is new`);
  return found.length === 0 ? undefined : found.slice(0, 3).join("; ");
}
