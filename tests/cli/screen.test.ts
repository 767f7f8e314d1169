// What a person sees: the same keys in `exec-server shell` and in a local shell paint the same screens, cell by cell.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { countInFront, until } from "../harness/proc.ts";
import { programUnderTest } from "../harness/program.ts";
import { startServer, type TestServer, urlFile } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { missing, openScreen, type Screen } from "../harness/tmux.ts";

const ENV = {
  LC_ALL: "C.UTF-8",
  PS1: "> ",
  HISTFILE: "/dev/null",
  VIMINIT: "",
  LESSHISTFILE: "-",
  MORE: "",
  LESS: "",
};
const BASH = ["bash", "--norc", "--noprofile"];

let server: TestServer;
test.before(async () => {
  server = await startServer({ env: ENV });
});
test.after(async () => {
  await server.stop();
});

/** Does the same on both screens. */
interface Both {
  type(text: string): void;
  press(...keys: string[]): void;
  resize(cols: number, rows: number): void;
  /** Both show this; then all of what they show must be equal. @returns it */
  same(pattern: RegExp): Promise<string>;
}

async function compare(check: (both: Both, folder: string) => Promise<void>): Promise<void> {
  const absent = missing(["tmux", "vim", "less", "htop"]);
  assert.equal(
    absent,
    [],
    `this test needs programs that are not installed: apt-get install ${absent.join(" ")}`,
  );
  const folder = tempDir();
  const lines = Array.from(
    { length: 500 },
    (_, index) => `const line${index + 1} = "${"x".repeat(index % 150)}";`,
  );
  writeFileSync(join(folder, "code.js"), `${lines.join("\n")}\n// ünïcödé 漢字 🙂\n`);
  const [program, before] = programUnderTest();
  const env = Object.entries(ENV).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
  const screens: Screen[] = [];
  try {
    screens.push(
      openScreen(["env", "-C", folder, ...BASH], ENV),
      openScreen(
        [
          program,
          ...before,
          "shell",
          "--url-file",
          urlFile(server.url),
          "--cwd",
          folder,
          ...env,
          "--",
          ...BASH,
        ],
        ENV,
      ),
    );
    await Promise.all(screens.map((screen) => screen.painted(/^>/))); // both wait for keys
    const each = (action: (screen: Screen) => void) => screens.forEach(action);
    await check({
      type: (text) => each((screen) => screen.type(text)),
      press: (...keys) => each((screen) => screen.press(...keys)),
      resize: (cols, rows) => each((screen) => screen.resize(cols, rows)),
      async same(pattern) {
        const [here = "", there = ""] = await Promise.all(screens.map((screen) => screen.painted(pattern)));
        assert.is(there, here);
        return here;
      },
    }, folder);
  } finally {
    for (const screen of screens) screen.close();
  }
}

test("the shell: colours, wide characters, editing, completion, job control", () =>
  compare(async (both) => {
    both.type("printf '\\e[1;31mred\\e[0m \\e[48;5;27mblue\\e[0m \\e[7m漢字 🙂\\e[0m ünï\\n'");
    both.press("Enter");
    await both.same(/red[^]*\n>/);
    both.type("cat co");
    both.press("Tab");
    both.type(" | tail -n 3");
    both.press("Left", "Left", "C-a", "C-e", "Enter");
    await both.same(/漢字 🙂\n>/);
    both.type(`echo ${"long ".repeat(50)}`); // wraps
    await both.same(/cursor 57,8 /);
    both.press("C-u", "Up", "Home");
    await both.same(/cat code\.js {2}\| tail[^]*\n> cat code\.js {2}\| tail/);
    both.press("C-c");
    const job = `sleep 1${String(process.pid).padStart(9, "0")}`; // no other test's
    const inFront = () => until("both jobs have their terminals", () => countInFront(job) === 2);
    both.type(`clear; ${job}`);
    both.press("Enter");
    await inFront();
    await both.same(/^cursor 0,0 /m);
    both.press("C-z");
    await both.same(/Stopped[^]*\n>/);
    both.type("fg");
    both.press("Enter");
    await both.same(/> fg\nsleep 1/);
    await inFront(); // the shell shows it before
    both.press("C-c");
    await both.same(/\^C\n\n?>/);
    both.type("clear; stty -a; exit 5");
    both.press("Enter");
    await both.same(/-extproc\nexit\n\[exit 5\][^]*-extproc/);
  }));

test("vim: opens a file, scrolls, edits, splits, follows the size, and leaves the screen as it was", () =>
  compare(async (both) => {
    both.type("echo before; vim -u NONE -N -n --cmd 'syntax on' --cmd 'set mouse=a number ruler' code.js");
    both.press("Enter");
    await both.same(/line1 [^]*alternate 1/);
    both.press("C-f", "C-f", "C-b", "G");
    await both.same(/漢字/);
    both.type("ofunction added() {");
    both.press("Enter", "Escape");
    both.type(":split");
    both.press("Enter");
    both.type("gg");
    await both.same(/line1 [^]*added/);
    both.resize(80, 24);
    await both.same(/size 80x24/);
    both.resize(120, 40);
    await both.same(/size 120x40/);
    both.type(":q!");
    both.press("Enter");
    both.type(":q!");
    both.press("Enter");
    await both.same(/before[^]*alternate 0[^]*mouse 0/);
  }));

test("less: pages, searches, goes to the end and back", () =>
  compare(async (both) => {
    both.type("less -N code.js");
    both.press("Enter");
    await both.same(/line1 [^]*alternate 1/);
    both.press("Space", "Space", "b");
    both.type("/line250");
    both.press("Enter");
    await both.same(/line250/);
    both.press("G");
    await both.same(/\(END\)/);
    both.resize(60, 20);
    await both.same(/size 60x20/);
    both.type("gq");
    await both.same(/^>[^]*alternate 0/m);
  }));

test("htop: what does not move", async () => {
  await compare(async (both) => {
    both.type("htop -d 100");
    both.press("Enter");
    // Its numbers differ from moment to moment.
    both.press("F1");
    await both.same(/cursor follows process/);
    both.press("q", "F10");
    await both.same(/^>[^]*alternate 0/m);
  });
});

test.run();
