import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { tempDir } from "./temp.ts";
import { isObject } from "./wire_client.ts";

/** Puts the real scratch folders in the place of `/W` and `/O`, and `uuid` in that of `<uuid>`, in every string. */
export function substitute(value: unknown, folders: Record<string, string>): unknown {
  if (typeof value === "string") {
    if (value === "<uuid>") return folders["uuid"] ?? value;
    return value.replaceAll(
      /(?<=[/:`' ]|^|localhost)\/(W|O)(?=[/`' ?#]|$)/g,
      (whole, name: string) => folders[name] ?? whole,
    );
  }
  if (Array.isArray(value)) return value.map((item) => substitute(item, folders));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, substitute(member, folders)]),
  );
}

/** The folder that the recorded file cases found as `/W`, those of sandboxes as `/O`. */
export function scratchFor(name: string): string {
  const root = tempDir();
  if (name.startsWith("fs/walk")) walkTree(root);
  else if (name.startsWith("fs/") || name.startsWith("path/")) fileTree(root);
  if (name.startsWith("stream/")) {
    writeFileSync(join(root, "a"), "0123456789");
    writeFileSync(join(root, "empty"), "");
    symlinkSync("a", join(root, "l"));
  }
  if (name.startsWith("sandbox/")) writeFileSync(join(root, "in"), "in");
  if (name === "fs/readFile size limit 512 MiB") {
    writeFileSync(join(root, "big"), "");
    truncateSync(join(root, "big"), 536_870_913); // sparse
  }
  return root;
}

function fileTree(root: string): void {
  writeFileSync(join(root, "a.txt"), "hello world");
  writeFileSync(join(root, "empty"), "");
  writeFileSync(join(root, "spa ce ü%41.txt"), "x");
  writeFileSync(
    Buffer.concat([Buffer.from(join(root, "bad")), Buffer.from([0xff]), Buffer.from(".txt")]),
    "bad",
  );
  mkdirSync(join(root, "dir/sub"), { recursive: true });
  writeFileSync(join(root, "dir/b.bin"), Buffer.from([0, 255, 1]));
  writeFileSync(join(root, "dir/sub/c.txt"), "c");
  symlinkSync("a.txt", join(root, "link"));
  symlinkSync("dir", join(root, "dlink"));
  symlinkSync("nowhere", join(root, "broken"));
  symlinkSync("loop", join(root, "loop"));
  execFileSync("mkfifo", [join(root, "fifo")]);
}

function walkTree(root: string): void {
  for (const folder of [".hid/x", "d1/d2/d3", "emptydir"]) mkdirSync(join(root, folder), { recursive: true });
  for (const file of [".dotfile", ".hid/h", "f0", "d1/f1", "d1/d2/f2", "d1/d2/d3/f3"]) {
    writeFileSync(join(root, file), "x");
  }
  symlinkSync("d1", join(root, "ldir"));
  symlinkSync("f0", join(root, "lfile"));
  symlinkSync("nowhere", join(root, "lbroken"));
  execFileSync("mkfifo", [join(root, "fifo")]);
}

/** Replaces by masks what depends on the host: the size of a directory, the account's shell. */
export function anyHost(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(anyHost);
  if (!isObject(value)) return value;
  const directory = value["isDirectory"] === true && "size" in value ? { size: "<size>" } : {};
  const shell = isObject(value["shell"]) ? { shell: { name: "<text>", path: "<text>" } } : {};
  const members = Object.entries(value).map(([name, member]) => [name, anyHost(member)]);
  return { ...Object.fromEntries(members), ...directory, ...shell };
}

/** Sorts the entries of an `fs/readDirectory` answer, as the record does. */
export function sorted(message: unknown): unknown {
  if (!isObject(message) || !isObject(message["result"])) return message;
  const entries = message["result"]["entries"];
  const nameOf = (entry: unknown) =>
    isObject(entry) && "fileName" in entry ? String(entry["fileName"]) : undefined;
  if (!Array.isArray(entries) || !entries.every((entry) => nameOf(entry) !== undefined)) return message;
  const inOrder = entries.toSorted((a, b) => String(nameOf(a)) < String(nameOf(b)) ? -1 : 1);
  return { ...message, result: { ...message["result"], entries: inOrder } };
}

/** What the recording script found on disk afterwards. */
export function onDisk(name: string, root: string): unknown[] {
  const at = (path: string) => join(root, path);
  if (name === "fs/remove of a link keeps its target") {
    return [{ $disk: { targetExists: existsSync(at("dir/b.bin")), linkExists: existsSync(at("dlink")) } }];
  }
  if (name === "fs/copy") {
    const dir2 = readdirSync(at("dir2"), { recursive: true, encoding: "utf8" }).sort();
    const linkcopyIsLink = lstatSync(at("linkcopy")).isSymbolicLink();
    return [{ $disk: { dir2, linkcopyIsLink, linkTarget: readlinkSync(at("linkcopy")) } }];
  }
  if (name === "stream/a refused replace does not touch the file") {
    return [{ $disk: { a: readFileSync(at("a"), "utf8") } }];
  }
  if (name === "stream/replace follows links and creates files") {
    return [{ $disk: { a: readFileSync(at("a"), "utf8"), isLink: lstatSync(at("l")).isSymbolicLink() } }];
  }
  if (name === "fs/copy onto itself empties the file") {
    return [{ $disk: { size: statSync(at("a.txt")).size } }];
  }
  return [];
}
