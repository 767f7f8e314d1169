// The profile for macOS, as text only: nothing here has run on a Mac.
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { seatbeltCommand, seatbeltProfile } from "../../src/sandbox/seatbelt.ts";
import { tempDir } from "../harness/temp.ts";
import { at, glob, planFrom, special } from "./policies.ts";

const lines = (text: string) =>
  text.split("\n").filter((line) => line.includes("PATH_") || line.includes("regex"));

test("a workspace: parents first, what is protected after it, patterns last", async () => {
  const W = tempDir();
  mkdirSync(`${W}/.git`);
  mkdirSync(`${W}/open`);
  writeFileSync(`${W}/.env`, "");
  const plan = await planFrom([
    special("root", "read"),
    at(W, "write"),
    at(`${W}/.git`, "read"),
    at(`${W}/.codex`, "read"),
    at(`${W}/.env`, "deny"),
    glob(`${W}/open/**/*.{key,p"m}`),
  ]);
  const { text, parameters } = seatbeltProfile(plan, { terminal: false });
  const name = (path: string) => Object.entries(parameters).find(([, value]) => value === path)?.[0];
  assert.equal(lines(text), [
    `(allow file-write* (subpath (param "${name(W)}")))`,
    `(deny file-write* (subpath (param "${name(`${W}/.codex`)}")))`,
    `(deny file-read* file-write* (literal (param "${name(`${W}/.env`)}")))`,
    `(deny file-write* (subpath (param "${name(`${W}/.git`)}")))`,
    `(deny file-read* file-write* (regex #"^${W}/open/([^/]+/)*[^/]*.(key|p.m)(/.*)?$"))`,
  ]);
  assert.match(text, /^\(version 1\)\n\(deny default\)\n/);
  assert.match(text, "(allow file-read*)\n");
  assert.not.match(text, "(allow network*)");
  assert.not.match(text, W.repeat(2));
});

test("nothing readable, the network, a terminal; paths are parameters, never text", async () => {
  const W = tempDir();
  const odd = `${W}/a") (allow default) ("`;
  mkdirSync(odd);
  const plan = await planFrom([at(odd, "write")], { network: "enabled" });
  const profile = seatbeltProfile(plan, { terminal: true });
  assert.not.match(profile.text, "allow default");
  assert.not.match(profile.text, "(allow file-read*)\n");
  assert.match(profile.text, "(allow network*)");
  assert.match(profile.text, "(allow pseudo-tty)");
  assert.equal(lines(profile.text).slice(1), [
    '(allow file-read* (subpath (param "PATH_0")))',
    '(allow file-write* (subpath (param "PATH_0")))',
  ]);
  const command = seatbeltCommand(profile, ["/bin/ls", "-l"]);
  assert.equal(command.slice(-5), ["-D", `PATH_0=${odd}`, "--", "/bin/ls", "-l"]);
  assert.is(command[0], "/usr/bin/sandbox-exec");
});

test.run();
