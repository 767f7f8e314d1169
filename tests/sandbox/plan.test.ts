// From what a client sends to the plan: made-up trees, and policies that make no sense.
import {
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { Buffer } from "node:buffer";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ExecServerError } from "../../src/protocol/error.ts";
import { globMatcher } from "../../src/sandbox/glob.ts";
import { floorPlan, narrow } from "../../src/sandbox/floor.ts";
import { createGlobScanner } from "../../src/sandbox/glob_cache.ts";
import { matchesGlob, scanGlob } from "../../src/sandbox/glob_scan.ts";
import { identityOf, keyOf } from "../../src/sandbox/identity.ts";
import { mountProblem } from "../../src/sandbox/mount_check.ts";
import type { Plan } from "../../src/sandbox/plan.ts";
import { accessOf } from "../../src/sandbox/rules.ts";
import { tempDir } from "../harness/temp.ts";
import { at, glob, managed, planFrom, planOfObject, policyFrom, skip, special } from "./policies.ts";

/** A folder with these files in it (`/` at the end: a folder; ` -> `: a link). */
function tree(...names: string[]): string {
  const root = tempDir();
  for (const name of names) {
    const [path = "", target] = name.split(" -> ");
    const full = join(root, path);
    mkdirSync(path.endsWith("/") ? full : dirname(full), { recursive: true });
    if (target !== undefined) symlinkSync(target, full);
    else if (!path.endsWith("/")) writeFileSync(full, `${path}\n`);
  }
  return root;
}

async function refused(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof ExecServerError && error.rpcCode === -32602) return error.message;
    throw error;
  }
  throw new Error("not refused");
}

const read = special("root", "read");
const brief = (plan: Plan, root: string) =>
  plan.rules.map((rule) =>
    `${rule.path.replace(root, "W")} ${rule.access} ${rule.kind}${rule.pin ? " pin" : ""}`
  );

test("malformed objects are refused in the words of the reference", async () => {
  const lines = readFileSync(new URL("../fixtures/transcripts.jsonl", import.meta.url), "utf8").split("\n");
  let compared = 0;
  for (const line of lines.filter((one) => /^\{"case": ?"sandbox\/(shape|member) errors"/.test(one))) {
    const { send, recv } = JSON.parse(line);
    for (const request of send) {
      const answer = recv.find((one: { id: number }) => one.id === request.id);
      const message = await refused(() => policyFrom(request.params.sandbox));
      assert.is(message, answer.error.message);
      compared++;
    }
  }
  assert.is(compared, 25);
});

const bad: [string, unknown, RegExp][] = [
  ["unknown member of an entry", managed([{ ...at("/x", "read"), only: 1 }]), /unknown field `only`/],
  [
    "unknown member of a path",
    managed([{ path: { type: "path", path: "file:///x", deep: true }, access: "deny" }]),
    /unknown field `deep`/,
  ],
  ["unknown member of a special path", managed([special("root", "read", { x: 1 })]), /unknown field `x`/],
  ["unknown access", managed([at("/x", "append")]), /unknown variant `append`/],
  ["unknown behaviour", managed([at("/x", "deny", { missing_path_behavior: "create" })]), /variant `create`/],
  ["a native path", managed([{ path: { type: "path", path: "/x" }, access: "read" }]), /relative URL/],
  [
    "a path of another host",
    managed([{ path: { type: "path", path: "file://h/x" }, access: "read" }]),
    /invalid on/,
  ],
  ["bytes", managed([{ path: { type: "path", path: "file:///%FF" }, access: "read" }]), /invalid on/],
  ["a writing pattern", managed([glob("/x/*", "write")]), /can only deny/],
  ["an empty pattern", managed([glob("")]), /must not be empty/],
  ["a pattern that climbs", managed([glob("/a/../*")]), /must not contain/],
  ["a pattern without an end", managed([glob("/x/[a")]), /malformed/],
  ["braces without an end", managed([glob("/x/{a,b")]), /malformed/],
  ["a relative pattern without cwd", managed([glob("**/.env")]), /takes `cwd`/],
  ["a depth of nothing", managed([], { glob_scan_max_depth: 0 }), /invalid value: integer `0`/],
  ["denying minimal", managed([special("minimal", "deny")]), /can only be read/],
  [
    "denying what is not known",
    managed([special("unknown", "deny", { path: ":future" })]),
    /cannot be denied/,
  ],
  ["project_roots without cwd", managed([special("project_roots", "write")]), /takes `cwd` or/],
  ["cwd without cwd", managed([special("current_working_directory", "read")]), /takes `cwd` or/],
  [
    "a subpath that climbs",
    managed([special("project_roots", "write", { subpath: "../x" })], { cwd: "file:///" }),
    /stay below/,
  ],
  ["landlock", managed([read], { useLegacyLandlock: true }), /useLegacyLandlock/],
  ["too many entries", managed(Array.from({ length: 513 }, () => read)), /more than 512 entries/],
  ["too many patterns", managed(Array.from({ length: 65 }, () => glob("/x"))), /more than 64 glob/],
  ["a long path", managed([at(`/${"x".repeat(5000)}`, "read")]), /longer than 4096/],
  ["a long pattern", managed([glob(`/${"x".repeat(5000)}`)]), /longer than 4096/],
  ["a missing root", managed([read, at("/nonexistent-zz", "write")]), /does not exist/],
  ["a file as a folder", managed([at("/etc/passwd/x", "read")]), /no directory/],
  ["the host's devices", managed([read, at("/dev/sda", "write", skip), at("/dev", "write")]), /has its own/],
  ["denied /proc", managed([read, at("/proc", "deny")]), /has its own/],
  ["writable /sys", managed([read, at("/sys", "write")]), /cannot be made writable/],
  ["everything by a pattern", managed([read, glob("/**")]), /must not deny everything/],
];
for (const [name, object, message] of bad) {
  test(`refused: ${name}`, async () => {
    assert.match(await refused(() => planOfObject(object)), message);
  });
}

test("unknown members elsewhere are ignored; special paths of the future too, when they grant", () => {
  const policy = policyFrom({ ...managed([special("moon", "write", { x: 1 }), read]), future: 1 });
  assert.is(policy?.entries.length, 1);
});

test("disabled and external ask for no sandbox", () => {
  const rest = { windowsSandboxLevel: "disabled" };
  assert.is(policyFrom({ permissions: { type: "disabled" }, ...rest }), undefined);
  assert.is(policyFrom({ permissions: { type: "external", network: "enabled" }, ...rest }), undefined);
  assert.is(policyFrom(null), undefined);
});

test("the most specific path wins; at one path deny, then read", async () => {
  const W = tree("a/b/c", "d/e", "f");
  const plan = await planFrom([
    read,
    at(W, "write"),
    at(`${W}/a`, "deny"),
    at(`${W}/a/b`, "write"),
    at(`${W}/d`, "read"),
    at(`${W}/d`, "write"),
    at(`${W}/f`, "none"),
    at(`${W}/f`, "read"),
  ]);
  const access = (path: string) => accessOf(plan, join(W, path));
  assert.equal(["", "new", "a", "a/x", "a/b", "a/b/c", "d", "d/e", "f"].map(access), [
    "write",
    "write",
    "deny",
    "deny",
    "write",
    "write",
    "read",
    "read",
    "deny",
  ]);
  assert.is(accessOf(plan, dirname(W)), "read");
  assert.is(accessOf(plan, `${W}x`), "read");
});

test("nothing is readable without a grant; unrestricted is everything", async () => {
  const W = tree("a/");
  const plan = await planFrom([at(W, "read")]);
  assert.is(accessOf(plan, "/etc/passwd"), "deny");
  assert.is(accessOf(plan, `${W}/a`), "read");
  const policy = policyFrom({
    ...managed([]),
    permissions: { type: "managed", network: "enabled", file_system: { type: "unrestricted" } },
  });
  assert.is(policy?.network, true);
  assert.equal(policy?.entries.map((one) => [one.place.kind, one.access]), [["root", "write"]]);
});

test("roots are looked up: links in the path are followed before anything is decided", async () => {
  const W = tree("real/a/", "link -> real", "up -> ../nowhere");
  const plan = await planFrom([read, at(`${W}/link`, "write"), at(`${W}/link/a`, "read")]);
  assert.equal(brief(plan, W), ["W/real write directory", "W/real/a read directory"]);
  assert.match(await refused(() => planFrom([read, at(`${W}/up`, "write")])), /does not exist/);
});

test("a path through a link that the sandbox could replace is refused, whatever it asks for", async () => {
  const W = tree("ws/real/", "ws/.git -> real", "ws/out -> ../other", "other/");
  const ws = `${W}/ws`;
  for (const entry of [at(`${ws}/.git`, "read"), at(`${ws}/out`, "write"), at(`${ws}/out`, "deny")]) {
    assert.match(await refused(() => planFrom([read, at(ws, "write"), entry])), /could replace/);
  }
  // It grants nothing that is not granted.
  await planFrom([read, at(ws, "write"), at(`${ws}/.git`, "write")]);
  // Nobody inside can replace this one.
  await planFrom([read, at(`${ws}/real`, "write"), at(`${ws}/out`, "deny")]);
});

test("what is missing: protected by a stand-in, skipped, watched, or refused", async () => {
  const W = tree("ws/");
  const ws = `${W}/ws`;
  const plan = await planFrom([
    read,
    at(ws, "write"),
    at(`${ws}/.git`, "read"),
    at(`${ws}/.codex`, "read", skip),
    at(`${ws}/deep/secret`, "deny"),
    at(`${W}/elsewhere`, "deny"),
  ]);
  assert.equal(brief(plan, W), [
    "W/ws write directory",
    "W/ws/.git read missing",
    "W/ws/deep deny missing",
  ]);
  assert.equal([...plan.absent].sort().map((path) => path.replace(W, "W")), ["W/elsewhere", "W/ws/.codex"]);
  await planFrom([read, at(`${W}/none`, "write", skip)]);
});

test("special paths: cwd, workspace roots, subpaths, temporary directories", async () => {
  const W = tree("one/.git/", "two/", "tmp/");
  const uri = (path: string) => `file://${W}/${path}`;
  const entries = [
    read,
    special("project_roots", "write"),
    { ...special("project_roots", "read", { subpath: ".git" }), ...skip },
    special("tmpdir", "write"),
    special("slash_tmp", "write"),
  ];
  const named = await planFrom(
    entries,
    { workspaceRoots: [uri("one"), uri("two")] },
    { temporaryDirectories: [`${W}/tmp`, `${W}/no`] },
  );
  // Below /tmp, which is writable too: not even the roots themselves can be moved away.
  assert.equal(brief(named, W).slice(1).filter((rule) => !rule.startsWith("/tmp/")), [
    "W write directory pin",
    "W/one write directory pin",
    "W/tmp write directory",
    "W/two write directory",
    "W/one/.git read directory",
  ]);
  assert.is(accessOf(named, "/tmp"), "write");
  const byCwd = await planFrom(entries, { cwd: uri("two"), temporaryDirectories: [] });
  assert.equal(brief(byCwd, W).slice(1), ["W/two write directory"]);
  const context = await planFrom(entries, { cwd: uri("two"), policyContext: { cwd: uri("one") } });
  assert.ok(brief(context, W).includes("W/one write directory pin"));
});

test("a .git file protects what it points to, also the common folder", async () => {
  const W = tree("main/.git/worktrees/wt/", "wt/");
  writeFileSync(`${W}/wt/.git`, `gitdir: ${W}/main/.git/worktrees/wt\n`);
  writeFileSync(`${W}/main/.git/worktrees/wt/commondir`, "../..\n");
  const plan = await planFrom([read, at(W, "write"), at(`${W}/wt/.git`, "read")]);
  assert.is(accessOf(plan, `${W}/main/.git/hooks/x`), "read");
  assert.is(accessOf(plan, `${W}/main/file`), "write");
});

test("folders above something protected are pinned, also above what a pattern matches", async () => {
  const W = tree("a/b/.git/", "c/d/.env");
  const plan = await planFrom([read, at(W, "write"), at(`${W}/a/b/.git`, "read"), glob(`${W}/**/.env`)]);
  assert.equal(brief(plan, W), [
    "W write directory",
    "W/a write directory pin",
    "W/c write directory pin",
    "W/a/b write directory pin",
    "W/c/d write directory pin",
    "W/a/b/.git read directory",
    "W/c/d/.env deny file",
  ]);
});

test("our own files below a writable root are protected", async () => {
  const W = tree("dist/exec-server");
  const plan = await planFrom([read, at(W, "write")], {}, {
    protect: [`${W}/dist/exec-server`, "/usr/bin/env"],
  });
  assert.equal(brief(plan, W), [
    "W write directory",
    "W/dist write directory pin",
    "W/dist/exec-server read file",
  ]);
  const full = await planFrom([special("root", "write")], {}, { protect: [`${W}/dist/exec-server`] });
  assert.is(accessOf(full, `${W}/dist/exec-server`), "read");
  assert.ok(brief(full, W).includes("W/dist write directory pin"), "also where everything can be written");
});

test("what is ours stays out of reach, whatever a policy says about what is in it", async () => {
  const W = tree("own/deep/file", "secret/deep/file", "gone/");
  const own = { protect: [`${W}/own`], hide: [`${W}/secret`] };
  for (const base of ["deny", "read", "write"]) {
    for (const access of ["read", "write"]) {
      const entries = [
        "",
        "/own",
        "/own/deep",
        "/own/deep/file",
        "/secret",
        "/secret/deep",
        "/secret/deep/file",
      ];
      const plan = await planFrom(
        [special("root", base), ...entries.map((path) => at(`${W}${path}`, access))],
        {},
        own,
      );
      const found = ["/own", "/own/new", "/own/deep/file", "/secret", "/secret/new", "/secret/deep/file"]
        .map((path) => accessOf(plan, `${W}${path}`));
      assert.equal(found, ["read", "read", "read", "deny", "deny", "deny"], `${base} ${access}`);
    }
  }
});

test("what the kernel makes is not pinned: it would become writable", async () => {
  const plan = await planFrom([
    special("root", "write"),
    at("/sys/kernel", "deny"),
    glob("/sys/class/n*/**"),
    glob("/proc/sys/**/x"),
  ]);
  assert.equal(plan.rules.filter((rule) => rule.access === "write").map(({ path }) => path), []);
});

test("what is ours and missing cannot be made; no link that can be replaced leads to it", async () => {
  const W = tree("ws/", "real/key", "ws/key -> ../real/key", "firm -> real");
  const missing = await planFrom([read, at(`${W}/ws`, "write")], {}, { protect: [`${W}/ws/state/own`] });
  assert.ok(brief(missing, W).includes("W/ws/state read missing"));
  const elsewhere = await planFrom([read, at(`${W}/ws`, "write")], {}, { protect: [`${W}/state/own`] });
  assert.equal(brief(elsewhere, W), ["W/ws write directory"]);
  for (const own of [{ protect: [`${W}/ws/key`] }, { hide: [`${W}/ws/key`] }]) {
    assert.match(await refused(() => planFrom([read, at(`${W}/ws`, "write")], {}, own)), /could replace/);
    await planFrom([read], {}, own);
  }
  symlinkSync(Buffer.from([0xff]), `${W}/bytes`);
  for (const own of [{ protect: [`${W}/bytes/key`] }, { hide: [`${W}/bytes/key`] }]) {
    assert.match(await refused(() => planFrom([read], {}, own)), /target is not UTF-8/);
  }
  const hidden = await planFrom([read, at(`${W}/ws`, "write")], {}, { hide: [`${W}/firm/key`] });
  assert.is(accessOf(hidden, `${W}/real/key`), "deny");
});

test("patterns: what they match", () => {
  const cases: [string, string[], string[]][] = [
    ["*.env", ["a.env", ".env"], ["d/a.env", "aenv"]],
    ["**/.env", [".env", "a/.env", "a/b/.env"], ["a/x.env", ".env/a"]],
    ["a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["z", "a/bz", "ab/z"]],
    ["a/**", ["a/b", "a/b/c"], ["a", "b/a"]],
    ["?.txt", ["a.txt"], ["ab.txt", "/.txt"]],
    ["[a-c!].k", ["b.k", "!.k"], ["d.k"]],
    ["[!a-c].k", ["d.k"], ["a.k", "/.k"]],
    ["[]x]", ["]", "x"], ["a"]],
    ["*.{pem,key,p{1,2}}", ["a.pem", "a.key", "a.p2"], ["a.p", "a.p3"]],
    ["a\\*b", ["a*b"], ["axb"]],
    ["**/s*t/**/*.{a,b}", ["st/x.a", "q/srt/r/x.b"], ["st/x.c"]],
    ["ü?", ["üx", "ü😀"], ["ux"]],
    ["a.b", ["a.b"], ["axb"]],
  ];
  for (const [pattern, yes, no] of cases) {
    const fits = globMatcher(pattern);
    for (const path of yes) assert.ok(fits(path), `${pattern} ${path}`);
    for (const path of no) assert.not(fits(path), `${pattern} ${path}`);
  }
});

test("a pattern made to take for ever takes a moment", () => {
  const fits = globMatcher(`${"*a".repeat(100)}b${"/**".repeat(50)}/x`);
  const began = performance.now();
  assert.not(fits("a".repeat(250)));
  assert.ok(performance.now() - began < 1_000);
  assert.throws(() => globMatcher("{a,b}".repeat(40)), /malformed/);
});

test("patterns are expanded when the plan is made, and known by name later", async () => {
  const W = tree(
    "a/.env",
    "a/b/.env",
    "keys/x.pem",
    "real/.env",
    "link -> real",
    "priv/in/x",
    ".env -> a/.env",
  );
  const plan = await planFrom(
    [read, at(W, "write"), glob("**/.env"), glob(`${W}/keys/*.pem`), glob("codex-project-roots://priv/**")],
    { cwd: `file://${W}` },
  );
  const denied = plan.rules.filter((rule) => rule.access === "deny").map((rule) => rule.path.replace(W, "W"));
  assert.equal(denied, ["W/priv", "W/a/.env", "W/keys/x.pem", "W/real/.env", "W/a/b/.env"]);
  assert.ok(plan.globs.some((one) => matchesGlob(one, `${W}/new/deep/.env`)));
  assert.ok(plan.globs.some((one) => matchesGlob(one, `${W}/x/.env/below`)));
  assert.not(plan.globs.some((one) => matchesGlob(one, `${W}/new/env`)));
});

test("below what a pattern denies with all its contents nothing is granted again", async () => {
  const W = tree("p/in/x");
  const plan = await planFrom([read, glob(`${W}/p/**`), at(`${W}/p/in`, "write")]);
  assert.is(accessOf(plan, `${W}/p/in/x`), "deny");
});

test("scans have bounds: the policy's depth ends them, ours refuse", async () => {
  const deep = Array.from({ length: 70 }, (_, index) => `d${index}`).join("/");
  const W = tree(`${deep}/.env`, "d0/.env");
  const shallow = await planFrom([read, glob(`${W}/**/.env`)], { glob_scan_max_depth: 2 });
  assert.equal(brief(shallow, W), ["W/d0/.env deny file"]);
  assert.match(await refused(() => planFrom([read, glob(`${W}/**/.env`)])), /deeper than 64/);
  const budget = { entries: 5, matches: 0 };
  const one = { base: W, rest: "**/.env", depth: 2 };
  assert.match(await refused(() => scanGlob(one, budget)), /match more than/);
  assert.match(
    await refused(() => scanGlob({ ...one, depth: 60 }, { entries: 5, matches: 9 })),
    /look at more/,
  );
});

test("a scanner remembers for a second", async () => {
  const W = tree("a.env");
  let now = 0;
  const scan = createGlobScanner(() => now);
  const one = { base: W, rest: "*.env", depth: undefined };
  const budget = { entries: 100, matches: 100 };
  assert.is((await scan(one, budget)).length, 1);
  writeFileSync(`${W}/b.env`, "");
  assert.is((await scan(one, budget)).length, 1);
  now = 1_001;
  assert.is((await scan(one, budget)).length, 2);
});

test("temporary folders are private unless the policy is about them; what is needed stays visible", async () => {
  const W = tree("prog", "cwd/");
  const context = { privateTemp: true, cwd: `${W}/cwd`, visible: [`${W}/prog`] };
  const plan = await planFrom([read], {}, context);
  assert.equal(plan.privateFolders.includes("/tmp"), true);
  assert.is(plan.cwd, `${W}/cwd`);
  assert.equal(brief(plan, W), ["W/cwd read directory", "W/prog read file"]);
  const granted = await planFrom([read, special("slash_tmp", "write")], {}, context);
  assert.not(granted.privateFolders.includes("/tmp"));
  assert.equal(brief(granted, W), ["/tmp write directory"]);
  const files = await planFrom([read], {}, { privateTemp: false });
  assert.equal(files.privateFolders, ["/run"]);
  const hidden = planFrom([special("minimal", "read")], {}, { privateTemp: true, cwd: W });
  assert.match(await refused(() => hidden), /hidden by the sandbox/);
});

test("the floor: in every point the lesser; without a sandbox the floor itself", async () => {
  const W = tree("ws/.git/", "ws/src/", "ws/out/", "other/");
  const context = { temporaryDirectories: [], privateTemp: false };
  const floor = { kind: "workspace-write", roots: [`${W}/ws`], network: false } as const;
  const most = await floorPlan(floor, context);
  assert.is(narrow(undefined, most), most);
  assert.is(accessOf(most, `${W}/ws/.git/config`), "read");

  const wide = await planFrom(
    [special("root", "write"), at(`${W}/ws/src`, "read"), at("/etc", "deny")],
    { network: "enabled" },
  );
  const plan = narrow(wide, most);
  const access = (path: string) => accessOf(plan, path);
  assert.equal(
    ["/usr", "/etc/passwd", `${W}/other`, `${W}/ws/x`, `${W}/ws/src/x`, `${W}/ws/.git/x`].map(access),
    ["read", "deny", "read", "write", "read", "read"],
  );
  assert.is(plan.network, false);

  const readOnly = await floorPlan({ kind: "read-only", roots: [], network: true }, context);
  const none = narrow(wide, readOnly);
  assert.not(none.rules.some((rule) => accessOf(none, rule.path) === "write"));
  const stub = await planFrom([read, at(`${W}/ws`, "write"), at(`${W}/ws/.codex`, "read")]);
  assert.not(narrow(stub, readOnly).rules.some((rule) => rule.kind === "missing"));
  const nothing = await planFrom([at(`${W}/ws`, "write")]);
  assert.is(accessOf(narrow(nothing, most), "/etc"), "deny");
});

test("the floor in every point: compared on a small tree with all policies of two entries", async () => {
  const W = tree("a/b/", "a/c/", "d/");
  const paths = [W, `${W}/a`, `${W}/a/b`, `${W}/a/c`, `${W}/d`];
  const rank = { deny: 0, read: 1, write: 2 };
  const words = ["deny", "read", "write"] as const;
  const most = await floorPlan({ kind: "workspace-write", roots: [`${W}/a`], network: false }, {
    temporaryDirectories: [],
    privateTemp: false,
  });
  for (const base of words) {
    for (const [path, access] of paths.flatMap((one) => words.map((word) => [one, word] as const))) {
      const asked = await planFrom([special("root", base), at(path, access), at(`${W}/a/b`, "read")]);
      const both = narrow(asked, most);
      for (const point of [...paths, `${W}/a/b/new`, "/usr"]) {
        const least = Math.min(rank[accessOf(asked, point)], rank[accessOf(most, point)]);
        assert.is(rank[accessOf(both, point)], least, `${base} ${path} ${access} at ${point}`);
      }
    }
  }
});

test("a key is the same for the same plan, and another for another", async () => {
  const W = tree("ws/a/");
  const entries = [read, at(`${W}/ws`, "write"), at(`${W}/ws/a`, "read")];
  const key = keyOf(await planFrom(entries));
  assert.is(keyOf(await planFrom([...entries].reverse())), key);
  assert.is.not(keyOf(await planFrom(entries, { network: "enabled" })), key);
  assert.is.not(keyOf(await planFrom(entries.slice(0, 2))), key);
  assert.is.not(keyOf(await planFrom(entries, {}, { cwd: W })), key);
  const plan = await planFrom(entries);
  assert.is(keyOf(JSON.parse(JSON.stringify(plan))), key);
});

test("the identity changes when something is replaced, appears or goes", async () => {
  const W = tree("ws/.env", "ws/.git/");
  const plan = await planFrom([
    read,
    at(`${W}/ws`, "write"),
    at(`${W}/ws/.env`, "deny"),
    at(`${W}/ws/.git`, "read"),
    at(`${W}/ws/.aws`, "read", skip),
    at(`${W}/ws/.codex`, "read"),
  ]);
  const first = identityOf(plan);
  writeFileSync(`${W}/ws/other`, "x");
  assert.is(identityOf(plan), first);
  mkdirSync(`${W}/ws/.codex`); // its stand-in
  assert.is(identityOf(plan), first);
  mkdirSync(`${W}/ws/.aws`);
  assert.is.not(identityOf(plan), first);
  rmSync(`${W}/ws/.aws`, { recursive: true });
  assert.is(identityOf(plan), first);
  writeFileSync(`${W}/ws/new`, "secret");
  renameSync(`${W}/ws/new`, `${W}/ws/.env`);
  assert.is.not(identityOf(plan), first);

  symlinkSync("ws", `${W}/link`);
  const linked = await planFrom([read, at(`${W}/link`, "write"), glob(`${W}/later/*.env`)]);
  const before = identityOf(linked);
  mkdirSync(`${W}/later`);
  assert.is.not(identityOf(linked), before);
  rmSync(`${W}/later`, { recursive: true });
  assert.is(identityOf(linked), before);
  rmSync(`${W}/link`);
  symlinkSync("/usr", `${W}/link`);
  assert.is.not(identityOf(linked), before);
});

test("the identity changes when what comes in the place of something gets its inode", async () => {
  const W = tree("ws/", "secret/");
  const plan = await planFrom([read, at(`${W}/ws`, "write"), at(`${W}/secret`, "deny")]);
  for (let tries = 0; tries < 100; tries++) {
    const before = identityOf(plan);
    const { ino } = statSync(`${W}/secret`);
    rmdirSync(`${W}/secret`);
    mkdirSync(`${W}/secret`);
    assert.is.not(identityOf(plan), before, `inode ${ino}, then ${statSync(`${W}/secret`).ino}`);
  }
});

test("mounts that are not the plan's are found", async () => {
  const W = tree("a b/.git/", "secret", "x/");
  const plan = await planFrom([
    read,
    at(`${W}/a b`, "write"),
    at(`${W}/a b/.git`, "read"),
    at(`${W}/secret`, "deny"),
  ]);
  const quoted = W.replaceAll(" ", "\\040");
  const here = "1 0 8:1 /sub / rw - ext4 /dev/vda rw\n2 1 0:9 / /proc rw - proc proc rw";
  const line = (root: string, path: string, how: string, rest = "- ext4 /dev/vda rw", device = "8:1") =>
    `9 8 ${device} ${root} ${path} ${how},nosuid,relatime master:1 ${rest}`;
  const good = [
    line("/sub", "/", "ro"),
    line("/", "/dev", "rw", "- tmpfs tmpfs rw", "0:50"),
    line("/", "/run", "ro", "- tmpfs tmpfs rw", "0:51"),
    line(`/sub${quoted}/a\\040b`, `${quoted}/a\\040b`, "rw"),
    line(`/sub${quoted}/a\\040b/.git`, `${quoted}/a\\040b/.git`, "ro"),
    line("/null", `${quoted}/secret`, "ro", "- devtmpfs devtmpfs rw", "0:6"),
  ];
  const problem = (index: number, changed: string | undefined, added: string[] = []) =>
    mountProblem(plan, [...good.with(index, changed ?? good[index] ?? ""), ...added].join("\n"), here);
  assert.is(problem(0, undefined), undefined);
  assert.match(
    problem(3, line("/sub/home/me", `${quoted}/a\\040b`, "rw")) ?? "",
    /is \/sub\/home\/me instead/,
  );
  assert.match(problem(3, good[3]?.replace("8:1", "8:2")) ?? "", /instead/);
  assert.match(problem(3, good[3]?.replace(" rw,", " ro,")) ?? "", /is read-only/);
  assert.match(problem(4, good[4]?.replace(" ro,", " rw,")) ?? "", /is writable/);
  assert.match(problem(4, "") ?? "", /is not mounted/);
  assert.match(problem(5, line("/sub/etc/shadow", `${quoted}/secret`, "ro")) ?? "", /is visible/);
  assert.match(
    problem(0, undefined, [line("/sub/home/me", "/home/me", "rw")]) ?? "",
    /\/home\/me is writable/,
  );
  assert.match(
    problem(0, undefined, [line("/", `${quoted}/a\\040b`, "rw", "- tmpfs t rw", "0:60")]) ?? "",
    /instead/,
  );
  const closed = await planFrom([at(`${W}/x`, "read")]);
  const shown = [line("/", "/", "ro", "- tmpfs t rw"), line(`/sub${quoted}/x`, `${quoted}/x`, "ro")];
  assert.is(mountProblem(closed, shown.join("\n"), here), undefined);
  const more = [...shown, line("/sub/home", "/home", "ro")].join("\n");
  assert.match(mountProblem(closed, more, here) ?? "", /\/home is visible/);
  assert.is(mountProblem(closed, "", here), `${W}/x is not mounted`);
});

test.run();
