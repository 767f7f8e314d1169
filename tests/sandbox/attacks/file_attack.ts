// What an attack by file requests is, and the requests it is made of.
import { Buffer } from "node:buffer";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Bare } from "./attack.ts";
import { giveTo, type Scene } from "./scene.ts";

/** A request; members that end in `ath` are native paths, for the runner to turn into URIs. */
export interface FileRequest {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** One case. */
export interface FileAttack {
  readonly id: string;
  readonly tries: string;
  /** Changes the tree before the helper starts. */
  readonly before?: (scene: Scene) => void;
  /** Changes the tree while the helper runs: it has answered one harmless request before. */
  readonly between?: (scene: Scene) => void;
  readonly requests: (scene: Scene) => readonly FileRequest[];
  /** A perl program that goes on changing the tree while the requests are made, as a process in the same root could. */
  readonly meanwhile?: (scene: Scene) => string;
  /** How often the requests are made; 1 when absent. */
  readonly times?: number;
  /** Why it is allowed to come through. */
  readonly allowed?: string;
  /** Whether it comes through without a sandbox; "open" when absent. */
  readonly bare?: Bare;
}

/** `fs/readFile`. */
export const read = (path: string, more = {}): FileRequest => ({
  method: "fs/readFile",
  params: { path, ...more },
});
/** `fs/writeFile`. */
export const write = (path: string, more = {}): FileRequest => ({
  method: "fs/writeFile",
  params: { path, dataBase64: Buffer.from("written by an attack\n").toString("base64"), ...more },
});
/** `fs/readDirectory`. */
export const list = (path: string): FileRequest => ({ method: "fs/readDirectory", params: { path } });
/** `fs/remove`. */
export const remove = (path: string, more = {}): FileRequest => ({
  method: "fs/remove",
  params: { path, ...more },
});
/** `fs/createDirectory`. */
export const make = (path: string, recursive = true): FileRequest => ({
  method: "fs/createDirectory",
  params: { path, recursive },
});
/** `fs/copy`. */
export const copy = (sourcePath: string, destinationPath: string, recursive = true): FileRequest => ({
  method: "fs/copy",
  params: { sourcePath, destinationPath, recursive },
});
/** `fs/walk`. */
export const walk = (path: string): FileRequest => ({
  method: "fs/walk",
  params: {
    path,
    options: { maxDepth: 20, maxDirectories: 1000, maxEntries: 10_000, followDirectorySymlinks: true },
  },
});

/** `fs/open`, `fs/readBlock`, `fs/close`. */
export const openAndRead = (path: string): readonly FileRequest[] => [
  { method: "fs/open", params: { handleId: "r", path } },
  { method: "fs/readBlock", params: { handleId: "r", offset: 0, len: 4096 } },
  { method: "fs/close", params: { handleId: "r" } },
];
/** `fs/open`, `fs/writeBlock`, `fs/close`, in both ways to write. */
export const openAndWrite = (path: string): readonly FileRequest[] =>
  ["replace", "replaceOnCommit"].flatMap((mode) => [
    { method: "fs/open", params: { handleId: "w", path, mode } },
    {
      method: "fs/writeBlock",
      params: { handleId: "w", offset: 0, chunk: Buffer.from("written by an attack\n").toString("base64") },
    },
    { method: "fs/close", params: { handleId: "w", commit: true } },
  ]);

/** Writes as the host does it: with the scene's owner. */
export function put(scene: Scene, path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  giveTo(scene.uid, path);
}

/** How editors and tools save: a new file, renamed over the old one. */
export function save(scene: Scene, path: string, text: string): void {
  put(scene, `${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** A secret's text. */
export const secret = (scene: Scene, what: string) => `${scene.token} ${what}\n`;
