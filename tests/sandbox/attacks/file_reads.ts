// File requests that read what the policy denies.
import { renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { copy, type FileAttack, list, put, read, remove, save, secret, walk } from "./file_attack.ts";

/** Attacks that read. */
export const FILE_READS: readonly FileAttack[] = [
  { id: "f-read-denied", tries: "read a denied file", requests: (s) => [read(join(s.root, ".env"))] },
  {
    id: "f-read-denied-folder",
    tries: "read in denied folders",
    requests: (s) => [read(join(s.secret, "token")), read(join(s.root, "box/private/token"))],
  },
  {
    id: "f-list-denied",
    tries: "list a denied folder",
    requests: (s) => [list(s.secret), walk(s.secret), walk(s.base)],
  },
  {
    id: "f-read-glob",
    tries: "read what a denied pattern matches",
    requests: (s) => [read(join(s.root, "keys/server.pem"))],
  },
  {
    id: "f-read-glob-later",
    tries: "read a file that matches a denied pattern and was made after the helper started",
    between: (s) => put(s, join(s.root, "keys/later.pem"), secret(s, "later")),
    requests: (
      s,
    ) => [
      read(join(s.root, "keys/later.pem")),
      copy(join(s.root, "keys/later.pem"), join(s.root, "c")),
      read(join(s.root, "c")),
    ],
  },
  {
    id: "f-read-symlink",
    tries: "read through symlinks that were in the root",
    requests: (
      s,
    ) => [
      read(join(s.root, "link-secret")),
      read(join(s.root, "link-secret"), { followSymlinks: false }),
      read(join(s.outside, "alias/token")),
    ],
  },
  {
    id: "f-read-symlink-new",
    tries: "read through symlinks that were made while the helper ran",
    between(s) {
      symlinkSync(join(s.secret, "token"), join(s.root, "l1"));
      symlinkSync(s.secret, join(s.root, "l2"));
      symlinkSync("/proc/self/root", join(s.root, "l3"));
    },
    requests: (
      s,
    ) => [
      read(join(s.root, "l1")),
      read(join(s.root, "l2/token")),
      list(join(s.root, "l2")),
      walk(s.root),
      read(join(s.root, `l3${s.secret}/token`)),
    ],
  },
  {
    id: "f-read-proc",
    tries: "read through /proc: roots, environments, descriptors",
    requests: (s) => [
      read(`/proc/self/root${s.secret}/token`),
      read(`/proc/1/root${s.secret}/token`),
      read(`/proc/${s.bystander.pid}/root${s.secret}/token`),
      read("/proc/self/environ"),
      read("/proc/1/environ"),
      read(`/proc/${s.bystander.pid}/environ`),
      walk("/proc/self/fd"),
    ],
  },
  {
    id: "f-read-hardlink",
    tries: "read a denied file through a hard link that was in the root",
    requests: (s) => [read(join(s.root, "hardlinked-secret"))],
    allowed: "a second name of the same file; the helper may refuse files with several names",
  },
  {
    id: "f-copy-denied",
    tries: "copy what is denied into the root, then read it",
    requests: (s) => [
      copy(join(s.root, ".env"), join(s.root, "c1"), false),
      copy(s.secret, join(s.root, "c2")),
      copy(join(s.root, "box"), join(s.root, "c3")),
      read(join(s.root, "c1")),
      walk(join(s.root, "c2")),
      read(join(s.root, "c2/token")),
      read(join(s.root, "c3/private/token")),
    ],
  },
  {
    id: "f-copy-symlink",
    tries: "copy symlinks to what is denied, then read the copies",
    requests: (
      s,
    ) => [
      copy(join(s.root, "link-secret"), join(s.root, "c1")),
      read(join(s.root, "c1")),
      copy(join(s.outside, "alias"), join(s.root, "c2")),
      read(join(s.root, "c2/token")),
    ],
  },
  {
    id: "f-remove-denied",
    tries: "remove what is denied, and read what is left",
    requests: (
      s,
    ) => [
      remove(join(s.root, ".env")),
      remove(join(s.root, "box")),
      remove(s.secret),
      read(join(s.root, ".env")),
    ],
  },
  {
    id: "f-replaced-denied-file",
    tries: "read a denied file after the host has saved it anew",
    between: (s) => save(s, join(s.root, ".env"), secret(s, "saved anew")),
    requests: (s) => [read(join(s.root, ".env")), read(join(s.root, "link-secret"))],
  },
  {
    id: "f-replaced-denied-folder",
    tries: "read in a denied folder after the host has made it anew",
    between(s) {
      renameSync(s.secret, `${s.secret}-old`);
      renameSync(`${s.secret}-old`, join(s.run, "old-secret"));
      put(s, join(s.secret, "token"), secret(s, "made anew"));
    },
    requests: (s) => [read(join(s.secret, "token")), list(s.secret)],
  },
  {
    id: "f-replaced-denied-parent",
    tries: "read in a denied folder after the host has made its parent anew",
    between(s) {
      renameSync(join(s.root, "box"), join(s.run, "old-box"));
      put(s, join(s.root, "box/private/token"), secret(s, "made anew"));
    },
    requests: (s) => [read(join(s.root, "box/private/token")), walk(join(s.root, "box"))],
  },
];
