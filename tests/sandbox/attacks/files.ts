// Attacks by file requests. The list is data for the test of the file helper: each case says what lies there, what the
// host or a sandboxed process changes while the helper runs, and what is asked for. Nothing may be read or written
// outside, whatever the answers are.
import { join } from "node:path";
import {
  copy,
  type FileAttack,
  list,
  make,
  openAndRead,
  openAndWrite,
  read,
  remove,
  write,
} from "./file_attack.ts";
import { FILE_READS } from "./file_reads.ts";
import { FILE_WRITES } from "./file_writes.ts";
import type { Scene } from "./scene.ts";

const RACE_TIMES = 150;

/** Exchanges a folder and a symlink of one name, as fast as it can; for perl. */
const flip = (scene: Scene, target: string) =>
  String.raw`
chdir "${scene.root}" or die; mkdir "real"; symlink("${target}", "link");
for my $name ("token", "append", "victim") { open(my $f, ">", "real/$name"); print $f "harmless" }
while (1) { rename("real", "flip"); rename("flip", "real"); rename("link", "flip"); rename("flip", "link") }`;

const HANDLES: readonly FileAttack[] = [
  {
    id: "f-open-read",
    tries: "open what is denied by its path, by a pattern, by a symlink, and read it in blocks",
    requests: (s) =>
      [".env", "box/private/token", "keys/server.pem", "link-secret"].map((name) => join(s.root, name))
        .concat(join(s.secret, "token"), join(s.outside, "alias/token")).flatMap(openAndRead),
  },
  {
    id: "f-open-write",
    tries: "open what is outside, also by symlinks, and write blocks",
    requests: (s) =>
      [join(s.outside, "created"), join(s.outside, "append"), `${s.root}/../outside/dotdot`]
        .concat(join(s.root, "link-out"), join(s.root, "folder-out/created")).flatMap(openAndWrite),
  },
];

const RACES: readonly FileAttack[] = [
  {
    id: "f-race-write",
    tries: "write, while a folder of the path is exchanged with a symlink to the outside",
    meanwhile: (s) => flip(s, s.outside),
    times: RACE_TIMES,
    bare: "machine",
    requests: (s) => [write(join(s.root, "flip/append")), write(join(s.root, "flip/created"))],
  },
  {
    id: "f-race-remove",
    tries: "remove, while a folder of the path is exchanged with a symlink to the outside",
    meanwhile: (s) => flip(s, s.outside),
    times: RACE_TIMES,
    bare: "machine",
    requests: (
      s,
    ) => [remove(join(s.root, "flip/unlink")), remove(join(s.root, "flip/folder"), { recursive: true })],
  },
  {
    id: "f-race-copy",
    tries: "copy into a folder that is exchanged with a symlink to the outside",
    meanwhile: (s) => flip(s, s.outside),
    times: RACE_TIMES,
    bare: "machine",
    requests: (
      s,
    ) => [copy(join(s.root, "plain"), join(s.root, "flip/copied"), false), make(join(s.root, "flip/made"))],
  },
  {
    id: "f-race-read",
    tries: "read, while a folder of the path is exchanged with a symlink to a denied one",
    meanwhile: (s) => flip(s, s.secret),
    times: RACE_TIMES,
    bare: "machine",
    requests: (s) => [read(join(s.root, "flip/token")), list(join(s.root, "flip"))],
  },
  {
    id: "f-race-open",
    tries: "open and use blocks, while a folder of the path is exchanged with a symlink to a denied one",
    meanwhile: (s) => flip(s, s.secret),
    times: RACE_TIMES,
    bare: "machine",
    requests: (s) => [
      ...openAndRead(join(s.root, "flip/token")),
      ...openAndWrite(join(s.root, "flip/created")),
    ],
  },
];

/** All attacks by file requests. */
export const FILE_ATTACKS: readonly FileAttack[] = [...FILE_READS, ...FILE_WRITES, ...HANDLES, ...RACES];
