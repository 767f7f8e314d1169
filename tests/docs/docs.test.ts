// What the documentation says is so: generated pages are current, examples compile and print what they say, commands
// and their options exist.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const EXECUTABLE = join(ROOT, "dist", "exec-server");
const LIMIT_MS = 60_000;
/** The address of the examples. */
const EXAMPLE_URL = "ws://127.0.0.1:9000/?token=…";
const PAGES = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "docs/auth.md",
  "docs/protocol.md",
  "docs/cli.md",
]
  .concat(
    "docs/compatibility.md",
    "docs/listening.md",
    "docs/audit.md",
    "docs/limits.md",
    "docs/deploy/README.md",
    "SECURITY.md",
  );

const read = (name: string) => readFileSync(join(ROOT, name), "utf8");
const readme = read("README.md");
let server: TestServer;

test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server?.stop();
});

test("the generated pages are current", () => {
  const { status, stdout, stderr } = node([join(ROOT, "scripts/docs.ts"), "--check"]);
  assert.is(status, 0, `${stdout}${stderr}`);
});

for (const [index, example] of blocks(readme, "ts").entries()) {
  test(`example ${index + 1} of README.md compiles and prints what it says`, () => {
    const folder = tempDir();
    const file = join(folder, "example.mts");
    const code = example.replaceAll('"./mod.ts"', JSON.stringify(pathToFileURL(join(ROOT, "mod.ts")).href));
    // TypeScript takes paths, Node takes URLs.
    writeFileSync(
      join(folder, "typed.mts"),
      example.replaceAll('"./mod.ts"', JSON.stringify(join(ROOT, "mod.ts"))),
    );
    writeFileSync(file, code.replaceAll(EXAMPLE_URL, server.url));
    assert.is(typeErrors(folder), "");
    const { stdout, stderr } = node([file]);
    const promised = [...example.matchAll(/console\.log\(.*\); \/\/ (.+)$/gm)].map(([, text]) => text);
    assert.equal(stdout.trim().split("\n"), promised, stderr);
  });
}

test("the commands and options in the pages exist", () => {
  const general = help([]);
  for (const page of PAGES) {
    for (
      const [, line = ""] of read(page).matchAll(/(?<=`|^ {2,}|dist\/|\$ )exec-server ([a-z]+\b[^\n`|#]*)/gm)
    ) {
      const [command = "", ...words] = (line.split(" -- ")[0] ?? "").split(/\s+/);
      assert.match(general, new RegExp(`^ {2}${command}\\b`, "m"), `${page}: ${line}`);
      const known = help([command]);
      for (const word of words) {
        if (/^-/.test(word)) assert.match(known, `${word.split("=")[0]} `, `${page}: exec-server ${line}`);
      }
    }
  }
});

test("every option in docs/cli.md is taken by its command", () => {
  const sections = read("docs/cli.md").split(/^### exec-server /m).slice(1);
  assert.ok(sections.length > 0);
  for (const section of sections) {
    const command = /^\w+/.exec(section)?.[0] ?? "";
    for (const [, option = "", value] of section.matchAll(/^ {2}(?:-\w, )?(--[a-z0-9-]+)( <\w)?/gm)) {
      if (option === "--help") continue;
      // Options are checked in their order and before anything is done: only the made-up one may be refused.
      const args = [command, option, ...(value === undefined ? [] : ["1"]), "--bogus"];
      const { status, stderr } = spawnSync(EXECUTABLE, args, { encoding: "utf8", timeout: LIMIT_MS });
      assert.is(status, 2, `${command} ${option}`);
      assert.match(stderr, "Unknown option `--bogus`", `${command} ${option}`);
    }
  }
});

test("the npm scripts that the pages name exist", () => {
  const manifest: unknown = JSON.parse(read("package.json"));
  const scripts = typeof manifest === "object" && manifest !== null && "scripts" in manifest
    ? manifest.scripts
    : {};
  const names = Object.keys(scripts ?? {});
  for (const page of PAGES) {
    for (const [, name = ""] of read(page).matchAll(/npm run (?:--silent )?([a-z]+)/g)) {
      assert.ok(names.includes(name), `${page}: npm run ${name}`);
    }
  }
});

test("links between the pages lead somewhere", () => {
  for (const page of PAGES) {
    for (const [, target = ""] of read(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      assert.ok(existsSync(join(ROOT, dirname(page), target)), `${page}: ${target}`);
    }
  }
});

test.run();

function node(args: string[]) {
  return spawnSync(process.execPath, ["--import", import.meta.resolve("tsx"), ...args], {
    cwd: ROOT,
    encoding: "utf8",
    timeout: LIMIT_MS,
  });
}

function help(command: string[]): string {
  return execFileSync(EXECUTABLE, [...command, "--help"], { encoding: "utf8", timeout: LIMIT_MS });
}

/** The code blocks of a language. */
function blocks(markdown: string, language: string): string[] {
  return [...markdown.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].flatMap(([, code]) =>
    code ?? []
  );
}

/** What the compiler says about typed.mts in a folder. */
function typeErrors(folder: string): string {
  const config = {
    extends: join(ROOT, "tsconfig.json"),
    compilerOptions: { typeRoots: [join(ROOT, "node_modules/@types")] },
    include: ["typed.mts"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const { stdout } = node([join(ROOT, "node_modules/typescript/bin/tsc"), "-p", folder, "--pretty", "false"]);
  // What is wrong elsewhere is the business of `npm run check`.
  return stdout.split("\n").filter((line) => line.includes("typed.mts")).join("\n");
}
