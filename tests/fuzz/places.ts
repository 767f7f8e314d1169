/** Where the server of a fuzz run may write, and a tree beside it that nobody may touch. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Buffer } from "node:buffer";
import { atExit } from "../harness/at_exit.ts";
import { reachableProgram } from "../harness/reachable.ts";
import { tempDir } from "../harness/temp.ts";

/** The name of the file that {@link INJECTION} would make. */
const INJECTED = "INJECTED";
/** Texts that make a file when a shell gets them as part of a command. Harmless, unlike what they stand for. */
export const INJECTIONS: readonly string[] = [
  `$(touch {W}/${INJECTED})`,
  `'; touch {W}/${INJECTED}; '`,
  `"\`touch {W}/${INJECTED}\`"`,
];
/** So many folders lie between the scratch folder and `{W}`: a path may climb that far. */
export const CLIMB = 4;
/** Levels of a tree; its paths stay below PATH_MAX, 4,096 bytes. */
const DEEP = 1_500;

/** Folders of one run. */
export interface Places {
  /** The compiled program, where the account of the server can start it; undefined for who runs the test. */
  readonly program: string | undefined;
  readonly home: string;
  readonly temp: string;
  readonly state: string;
  readonly spill: string;
  /** Nothing destructive may reach above it. */
  readonly scratch: string;
  /** `{W}` of the cases. */
  readonly work: string;
  /** Puts the paths into a case. */
  put(one: unknown): unknown;
  /** Makes the files below `{W}` anew. */
  reset(): void;
  /** True when one of {@link INJECTIONS} was run. */
  isInjected(): boolean;
  /** What has changed that must not, and what was left in the folders for temporary files. */
  damage(): string[];
  remove(): void;
}

/** How often the request of an earlier case, whose connection was cut, may come in between. */
const MAX_RENEWALS = 5;

/** Makes the folders; they belong to `uid` if it is given, all but the tree that must stay. */
export function makePlaces(uid: number | undefined): Places {
  const base = tempDir();
  atExit(() => removeTree(base)); // before that of `tempDir`, which would call itself too often
  if (uid !== undefined) {
    for (const folder of [base, tmpdir()]) {
      if ((lstatSync(folder).mode & 0o001) === 0) chmodSync(folder, 0o711); // the account has to get through
    }
  }
  const at = (name: string) => join(base, name);
  const scratch = at("scratch");
  const work = join(scratch, ..."abcd".slice(0, CLIMB));
  const canary = at("canary");
  for (const name of ["home", "temp", "state", "spill"]) mkdirSync(at(name));
  mkdirSync(work, { recursive: true });
  execFileSync("mkfifo", [join(scratch, "fifo")]);
  mkdirSync(join(canary, "folder"), { recursive: true });
  for (const name of ["file", "folder/file", ".env"]) writeFileSync(join(canary, name), "canary\n");
  if (uid !== undefined) giveAway(base, uid);
  const before = picture(canary);
  let resets = 0;
  const renew = () => {
    // Aside first: what an earlier case has left running may still write there.
    const aside = join(scratch, `old-${++resets}`);
    renameSync(join(scratch, "a"), aside);
    removeTree(aside);
    mkdirSync(work, { recursive: true });
    plant(work);
  };
  return {
    program: uid === undefined ? undefined : reachableProgram(),
    home: at("home"),
    temp: at("temp"),
    state: at("state"),
    spill: at("spill"),
    scratch,
    work,
    put(one) {
      const text = JSON.stringify(one);
      const placed: unknown = text.includes("{W}") ? JSON.parse(text.replaceAll("{W}", work)) : one;
      return placed;
    },
    reset() {
      for (let tries = 1;; tries++) {
        try {
          renew();
          break;
        } catch (error) {
          if (tries === MAX_RENEWALS) throw error; // it is not only late: something is wrong
        }
      }
      if (!existsSync(join(scratch, "deep"))) {
        plantDeep(join(scratch, "deep"));
        if (uid !== undefined) giveAway(join(scratch, "deep"), uid);
      }
      if (uid !== undefined) giveAway(join(scratch, "a"), uid);
    },
    isInjected: () => existsSync(join(work, INJECTED)),
    damage() {
      const problems = picture(canary) === before ? [] : ["it has changed files outside its folder"];
      for (const name of ["temp", "spill"]) {
        for (const left of readdirSync(at(name))) problems.push(`it has left ${name}/${left}`);
      }
      return problems;
    },
    remove: () => removeTree(base),
  };
}

/** rm(1): rmSync calls itself for each level, and a tree of the cases has thousands. */
function removeTree(path: string): void {
  try {
    execFileSync("rm", ["-rf", "--", path], { stdio: "ignore" });
  } catch {
    // Somebody still writes into it; the rest goes with the folder above.
  }
}

/** Deeper than the stack of whoever calls itself for each level may be. */
function plantDeep(folder: string): void {
  mkdirSync(join(folder, ...Array<string>(DEEP).fill("d")), { recursive: true });
}

function plant(root: string): void {
  writeFileSync(join(root, "file"), "hello world");
  writeFileSync(join(root, "empty"), "");
  writeFileSync(join(root, "spa ce ü%41.txt"), "x");
  writeFileSync(Buffer.concat([Buffer.from(join(root, "bad")), Buffer.from([0xff])]), "x");
  mkdirSync(join(root, "dir/sub"), { recursive: true });
  writeFileSync(join(root, "dir/sub/deep"), "x");
  mkdirSync(join(root, ".git"));
  writeFileSync(join(root, ".git/config"), "[core]\n");
  symlinkSync("file", join(root, "link"));
  symlinkSync("dir", join(root, "dlink"));
  symlinkSync("nowhere", join(root, "broken"));
  symlinkSync("loop", join(root, "loop"));
}

/** Everything below a folder, and itself; not what a link points to, and not the canary, which is to stay foreign. */
function giveAway(path: string | Buffer, uid: number): void {
  const stat = lstatSync(path);
  const raw = Buffer.from(path);
  if (stat.isSymbolicLink() || raw.toString().endsWith("/canary")) return;
  chownSync(path, uid, uid);
  if (!stat.isDirectory()) return;
  for (const name of readdirSync(path, { encoding: "buffer" })) {
    giveAway(Buffer.concat([raw, Buffer.from("/"), name]), uid);
  }
}

function picture(folder: string): string {
  const lines = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort().map((name) => {
    const path = join(folder, name);
    const { mode, uid, size, mtimeMs, ino } = lstatSync(path);
    const content = lstatSync(path).isFile() ? readFileSync(path, "utf8") : "";
    return [name, mode, uid, size, mtimeMs, ino, content].join("|");
  });
  return lines.join("\n");
}
