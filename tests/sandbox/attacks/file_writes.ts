// File requests that write outside the root, or around the protected names.
import { linkSync, mkdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { copy, type FileAttack, make, put, remove, write } from "./file_attack.ts";
import { giveTo } from "./scene.ts";

/** Attacks that write. */
export const FILE_WRITES: readonly FileAttack[] = [
  {
    id: "f-write-outside",
    tries: "write, make, remove and copy outside",
    requests: (s) => [
      write(join(s.outside, "created")),
      write(join(s.outside, "append")),
      make(join(s.outside, "new/folder")),
      remove(join(s.outside, "unlink")),
      remove(join(s.outside, "folder")),
      copy(join(s.root, "plain"), join(s.outside, "move-over"), false),
      copy(join(s.root, "sub"), join(s.outside, "copied")),
    ],
  },
  {
    id: "f-write-dotdot",
    tries: "write to root/../outside",
    requests: (
      s,
    ) => [
      write(`${s.root}/../outside/dotdot`),
      write(`${s.root}/./sub/../../outside/dotdot`),
      make(`${s.root}/../outside/dotdot`),
    ],
  },
  {
    id: "f-write-symlink",
    tries: "write through symlinks that were in the root",
    requests: (s) => [
      write(join(s.root, "link-out")),
      write(join(s.root, "folder-out/created")),
      make(join(s.root, "folder-out/made")),
      remove(join(s.root, "folder-out/unlink")),
      remove(join(s.root, "folder-out/folder"), { recursive: true, force: true }),
      copy(join(s.root, "plain"), join(s.root, "folder-out/copied"), false),
    ],
  },
  {
    id: "f-write-symlink-new",
    tries: "write through symlinks that were made while the helper ran",
    between(s) {
      symlinkSync(join(s.outside, "via-new-file"), join(s.root, "l1"));
      symlinkSync(s.outside, join(s.root, "l2"));
      symlinkSync("../outside/dangling", join(s.root, "l3"));
    },
    requests: (
      s,
    ) => [
      write(join(s.root, "l1")),
      write(join(s.root, "l2/x")),
      write(join(s.root, "l3")),
      make(join(s.root, "l3")),
      copy(join(s.root, "plain"), join(s.root, "l3"), false),
    ],
  },
  {
    id: "f-remove-symlink",
    tries: "remove trees with symlinks in them: what they point to has to stay",
    bare: "closed",
    between: (s) => symlinkSync(s.outside, join(s.root, "sub/out")),
    requests: (
      s,
    ) => [
      remove(join(s.root, "folder-out")),
      remove(join(s.root, "mnt")),
      make(join(s.root, "t")),
      copy(join(s.root, "folder-out"), join(s.root, "t/out")),
      remove(join(s.root, "t")),
    ],
  },
  {
    id: "f-write-proc",
    tries: "write through /proc",
    requests: (
      s,
    ) => [
      write(`/proc/self/root${s.outside}/x`),
      write(`/proc/self/cwd${s.outside}/x`),
      write(`/proc/${s.bystander.pid}/root${s.outside}/x`),
      write("/proc/sys/kernel/domainname"),
    ],
  },
  {
    id: "f-write-protected",
    tries: "write, remove and replace the protected names",
    requests: (s) => [
      write(join(s.root, ".git/config")),
      write(join(s.root, ".git/hooks/pre-commit")),
      make(join(s.root, ".git/new")),
      remove(join(s.root, ".git")),
      copy(join(s.root, "sub"), join(s.root, ".git/copied")),
      write(join(s.root, ".agents/note")),
      make(join(s.root, ".codex/skills")),
      write(join(s.root, ".codex/config.toml")),
      copy(join(s.root, "sub"), join(s.root, ".codex")),
    ],
  },
  {
    id: "f-write-hardlink",
    tries: "write a file that has another name outside",
    requests: (s) => [write(join(s.root, "hardlinked"))],
    allowed: "a second name of the same file; the helper may refuse files with several names",
  },
  {
    id: "f-write-hardlink-new",
    tries: "write a file that got another name outside while the helper ran",
    between(s) {
      linkSync(join(s.outside, "hardlink-target"), join(s.root, "linked-later"));
      s.remember();
    },
    requests: (s) => [write(join(s.root, "linked-later"))],
    allowed: "a second name of the same file; the helper may refuse files with several names",
  },
  {
    id: "f-replaced-git",
    tries: "write .git after the host has made it anew (a fresh clone)",
    between(s) {
      renameSync(join(s.root, ".git"), join(s.run, "old-git"));
      put(s, join(s.root, ".git/config"), "[core]\n");
      put(s, join(s.root, ".git/HEAD"), "ref: refs/heads/new\n");
    },
    requests: (s) => [write(join(s.root, ".git/config")), write(join(s.root, ".git/hooks/pre-commit"))],
  },
  {
    id: "f-later-protected",
    tries: "write a protected folder that the host has made while the helper ran",
    between: (s) => put(s, join(s.root, ".codex/config.toml"), "model = 1\n"),
    requests: (s) => [write(join(s.root, ".codex/config.toml")), write(join(s.root, ".codex/other"))],
  },
  {
    id: "f-moved-root",
    tries: "write into a root that the host has moved away",
    between(s) {
      renameSync(s.root, join(s.base, "moved"));
      mkdirSync(s.root);
      giveTo(s.uid, s.root);
      s.remember();
    },
    requests: (
      s,
    ) => [write(join(s.base, "moved/plain")), write(join(s.base, "moved/new")), write(join(s.root, ".git"))],
  },
];
