/**
 * The executable's entrypoint: one function of `src/cli/` for each command. Commands are loaded on demand, so that
 * `--version` does not pay for the server.
 */
import cac, { type Command } from "cac";
import process from "node:process";
import { plainArguments } from "./src/cli/arguments.ts";
import { ExitCode, UsageError } from "./src/cli/exit.ts";
import { HELP_NOTES } from "./src/cli/help_notes.ts";
import { messageOf } from "./src/protocol/error.ts";
import { VERSION } from "./src/version.ts";

const cli = cac("exec-server");
const URL_HELP =
  "ws://…, wss://… or unix:PATH of a server; also EXEC_SERVER_URL. Without it: your server on this machine, else " +
  "(also with `local`) this machine itself";
const URL_FILE_HELP = "The URL, with its token, is in this file; also a server's --connection-file";
const TOKEN_FILE_HELP = "A token for the server is in this file; also EXEC_SERVER_TOKEN";
const CWD_HELP = "Directory to run in (default: the server's own)";
const ENV_HELP = "Set a variable; may be repeated";
const INHERIT_HELP = "all (less names like *KEY*, *SECRET*, *TOKEN*), core or none (default: all)";
const SANDBOX_HELP =
  "read-only: no file can be written; workspace-write: only below the roots; none (default: none). " +
  "Without the network";
const ROOT_HELP =
  "With workspace-write: what can be written to; may be repeated (default: the directory to run in)";
const NETWORK_HELP = "With --sandbox: let the network through";
const ESCAPE_HELP = "Begins commands to us at the beginning of a line: a character, ^X, or none (default: ~)";

cli.command("serve", "Serve this machine; prints one line, the URL, on stdout and logs on stderr")
  .option("--listen <url>", "ws://IP:PORT, wss://IP:PORT or unix:PATH; port 0 lets the system choose", {
    default: "ws://127.0.0.1:0",
  })
  .option(
    "--tls-cert <file>",
    "With wss://: certificate and those above it, PEM; SIGHUP reads the files again",
  )
  .option("--tls-key <file>", "With wss://: its private key, PEM")
  .option(
    "--tls-client-ca <file>",
    "With wss://: clients need a certificate of an authority in this file, PEM",
  )
  .option("--insecure", "Listen without TLS where other machines can reach it")
  .option("--allow-host <name>", "NAME or NAME:PORT by which clients may address it; may be repeated")
  .option("--allow-origin <origin>", "Origin of web pages that may connect, exactly; may be repeated")
  .option(
    "--concurrent-requests <count>",
    "Requests of one connection that run at the same time (default: 64)",
  )
  .option("--max-connections <count>", "Open connections; one more is answered 503 (default: 4096)")
  .option(
    "--handshake-timeout <seconds>",
    "Time for the request to upgrade, and again for initialize (default: 10)",
  )
  .option("--max-message <size>", "Largest message of a client, from 1M to 64M (default: 64M)")
  .option(
    "--bound-incoming",
    "Hold senders of large unfinished messages back: all of those take 32 MiB together; costs a quarter of the speed of ws:// and unix:, is always on over wss://",
  )
  .option("--max-sessions <count>", "Sessions, those without a connection too (default: 4096)")
  .option("--max-processes <count>", "Processes of all sessions that run (default: 4096)")
  .option("--max-session-processes <count>", "Processes of one session that run (default: 1024)")
  .option("--max-file-handles <count>", "Files that one connection may have open (default: 128)")
  .option("--max-observations <count>", "Processes of others that one session may watch (default: 256)")
  .option("--session-ttl <seconds>", "Life of a session without a connection (default: 90)")
  .option("--max-session-ttl <seconds>", "The longest life a client may ask for (default: 86400)")
  .option(
    "--shutdown-grace <seconds>",
    "What processes get between SIGTERM and SIGKILL at the end (default: 2)",
  )
  .option("--no-take-over", "Refuse to resume a session that another connection has")
  .option(
    "--retained-output <size>",
    "Undelivered output kept for a process while nobody is attached (default: 256M)",
  )
  .option("--server-retained-output <size>", "The same for all processes together (default: 2G)")
  .option(
    "--when-full <what>",
    "wait: hold the process back; drop-oldest: lose output and say so (default: wait)",
  )
  .option(
    "--spill-dir <dir>",
    "Where output goes that has no room in memory (default: the directory for temporary files)",
  )
  .option(
    "--sandbox-floor <what>",
    "The most that any request may do, whatever it asks for: read-only, workspace-write or none (default: none)",
  )
  .option("--sandbox-root <dir>", "With workspace-write: what may be written to; may be repeated")
  .option("--sandbox-network", "With a floor: sandboxes may have the network")
  .option(
    "--ws-auth <mode>",
    "Who may connect: token (who has the token in the URL that is printed), capability-token, " +
      "signed-bearer-token, or none: whoever can (default: token)",
  )
  .option("--ws-token-file <file>", "capability-token: the token is in this file")
  .option("--ws-token-sha256 <hex>", "capability-token: this is the token's SHA-256")
  .option("--ws-shared-secret-file <file>", "signed-bearer-token: a secret of 32 bytes or more, for HS256")
  .option("--ws-issuer <issuer>", "signed-bearer-token: what `iss` must be")
  .option("--ws-audience <audience>", "signed-bearer-token: what `aud` must be or hold")
  .option("--ws-max-clock-skew-seconds <seconds>", "signed-bearer-token: how far clocks differ (default: 30)")
  .option(
    "--connection-file <file>",
    "Where commands find this server, or none (default: in XDG_RUNTIME_DIR)",
  )
  .option("--user <user>", "Become this user before listening: NAME, UID, NAME:GID or UID:GID. Needs root")
  .option("--traceable", "Let programs of the same user look into the server: debuggers, /proc, core dumps")
  .option(
    "--audit-log <file>",
    "Append a line of JSON for each connection, process, change of a file and refusal",
  )
  .option(
    "--audit-argv",
    "Put arguments into it, not only their SHA-256; what looks like a secret is replaced",
  )
  .option(
    "--audit-failure <what>",
    "When it cannot be written: refuse starts and changes, or continue without (default: refuse)",
  )
  .option("--log-level <level>", "debug, info, warn or error (default: warn)")
  .option("--log-format <format>", "text or json (default: text)")
  .example("  read -r URL < <(exec-server serve)   # in bash: leaves it running, with its address in $URL")
  .example("  exec-server serve --listen ws://127.0.0.1:9000 --log-level info")
  .action(command(async (options) => (await import("./src/cli/serve.ts")).serve(options)));

cli.command("run", "Run the command after `--` there; its output, input and exit code are passed through")
  .option("--url <url>", URL_HELP)
  .option("--url-file <file>", URL_FILE_HELP)
  .option("--token-file <file>", TOKEN_FILE_HELP)
  .option("-t, --tty", "Run it in a terminal there; with ours it shares keys, screen and size")
  .option("--cwd <dir>", CWD_HELP)
  .option("--env <NAME=VALUE>", ENV_HELP)
  .option("--inherit-env <what>", INHERIT_HELP)
  .option("--timeout <seconds>", "End it after so long, with all that came of it; exit code 124")
  .option("--kill-after <seconds>", "With --timeout: SIGTERM first, SIGKILL so much later (default: 0)")
  .option(
    "--limit <name=value>",
    "cpu=SECONDS, memory=SIZE (address space), data=SIZE, files=N, processes=N, file-size=SIZE; may be repeated; " +
      "sizes with K, M, G",
  )
  .option("--sandbox <what>", SANDBOX_HELP)
  .option("--sandbox-root <dir>", ROOT_HELP)
  .option("--sandbox-network", NETWORK_HELP)
  .option("--no-stdin", "Do not pass standard input on")
  .option("--detach", "Leave it running; print the session's and the process's id")
  .option("--session-ttl <seconds>", "How long it may run on without a connection (default: the server's)")
  .option("--verbose", "Say on stderr when the connection breaks and is back, also when that is no terminal")
  .example("  exec-server run --url ws://127.0.0.1:9000 -- git -C /repo log --oneline")
  .example("  tar c . | exec-server run --url $URL --cwd /tmp -- tar x")
  .example("  exec-server run --url $URL -t -- htop")
  .example("  exec-server run --sandbox workspace-write --cwd /repo -- make test")
  .example("  exec-server run --timeout 60 --kill-after 5 --limit memory=2G --limit cpu=30 -- make test")
  .action(command(async (options) => (await import("./src/cli/run.ts")).run(afterDashes(options), options)));

cli.command("shell", "An interactive shell there in this terminal, or the command after `--`")
  .option("--url <url>", URL_HELP)
  .option("--url-file <file>", URL_FILE_HELP)
  .option("--token-file <file>", TOKEN_FILE_HELP)
  .option("--cwd <dir>", CWD_HELP)
  .option("--env <NAME=VALUE>", ENV_HELP)
  .option("--inherit-env <what>", INHERIT_HELP)
  .option("--sandbox <what>", SANDBOX_HELP)
  .option("--sandbox-root <dir>", ROOT_HELP)
  .option("--sandbox-network", NETWORK_HELP)
  .option("--escape <char>", ESCAPE_HELP)
  .option("--session-ttl <seconds>", "How long it may run on without a connection (default: the server's)")
  .example("  exec-server shell --url ws://127.0.0.1:9000")
  .example("  exec-server shell --url $URL --session-ttl 86400 -- tmux")
  .action(
    command(async (options) => (await import("./src/cli/shell.ts")).shell(afterDashes(options), options)),
  );

sessionCommand("attach", "Go on with a process of a session: its output, its exit code, its terminal", {
  process: true,
}, (added) =>
  added.option("--read-only", "Only watch, beside its owner; Ctrl-C leaves. Needs --process")
    .option("--escape <char>", ESCAPE_HELP)
    .option("--session-ttl <seconds>", "How long the session may live without a connection")
    .option("--verbose", "Say on stderr when the connection breaks and is back")
    .example("  exec-server attach --url $URL --session $SESSION --process $PROCESS --read-only"))
  .action(command(async (options) => (await import("./src/cli/attach.ts")).attach(options)));

sessionCommand("logs", "Print the output that is kept of a process, and leave it there", {
  process: true,
  force: true,
}).action(command(async (options) => (await import("./src/cli/logs.ts")).logs(options)));

sessionCommand(
  "ps",
  "List the processes of a session",
  { force: true },
  (added) => added.option("--json", "Print JSON: all that is known, null for what is not"),
)
  .action(command(async (options) => (await import("./src/cli/ps.ts")).ps(options)));

sessionCommand("kill", "End a process of a session and all that came of it, or send it a signal", {
  process: true,
  force: true,
}, (added) =>
  added.option("--all", "All processes of the session")
    .option("-s, --signal <signal>", "Send this to its process group instead: TERM, SIGTERM, 15, …")
    .option("--grace <seconds>", "SIGTERM first, SIGKILL so much later (default: 0, SIGKILL at once)")
    .example("  exec-server kill --url $URL --session $SESSION -s HUP")
    .example("  exec-server kill --url $URL --session $SESSION --all --grace 5"))
  .action(command(async (options) => (await import("./src/cli/kill.ts")).kill(options)));

cli.command(
  "doctor",
  "Show what sandboxes can be had on this machine, and why not; exit code 1 when none can",
)
  .option("--json", "Print JSON")
  .example("  exec-server doctor")
  .action(command(async (options) => (await import("./src/cli/doctor.ts")).doctor(options)));

cli.command("info", "Show what is known of an environment")
  .option("--url <url>", URL_HELP)
  .option("--url-file <file>", URL_FILE_HELP)
  .option("--token-file <file>", TOKEN_FILE_HELP)
  .option("--json", "Print JSON")
  .example("  exec-server info --url ws://127.0.0.1:9000")
  .action(command(async (options) => (await import("./src/cli/info.ts")).info(options)));

cli.command("fs <operation> [...paths]", "Work with files there: cat, put (from stdin), ls, rm, mkdir, stat")
  .option("--url <url>", URL_HELP)
  .option("--url-file <file>", URL_FILE_HELP)
  .option("--token-file <file>", TOKEN_FILE_HELP)
  .option("-r, --recursive", "rm: remove directories and what is below")
  .option("-f, --force", "rm: a missing path is fine")
  .option("-p, --parents", "mkdir: make parents, accept an existing directory")
  .option("--json", "ls, stat: print JSON")
  .example("  exec-server fs cat /etc/hostname --url ws://127.0.0.1:9000")
  .example("  exec-server fs put /tmp/notes.txt --url $URL < notes.txt")
  .action(async (operation: string, paths: string[], options: Record<string, unknown>) => {
    await finish(async () =>
      (await import("./src/cli/fs.ts")).fs(String(operation), paths.map(String), options)
    );
  });

for (const client of cli.commands.filter((one) => one.options.some(({ name }) => name === "url"))) {
  client.option("--tls-ca <file>", "With wss://: authorities to trust, PEM; also EXEC_SERVER_TLS_CA")
    .option("--tls-cert <file>", "With wss://: our certificate, PEM, for a server that demands one")
    .option("--tls-key <file>", "With wss://: its private key, PEM");
}

// cac says "(default: true)" behind every --no-… option, which reads as the opposite.
cli.help((sections) => {
  for (const section of sections) section.body = section.body.replaceAll(" (default: true)", "");
  sections.push(...HELP_NOTES.get(cli.matchedCommand?.name ?? "") ?? []);
});
cli.version(VERSION);

await main();

async function main(): Promise<void> {
  try {
    const [runtime = "", program = "", ...args] = process.argv;
    // Not for people, and not shown to them: the server starts it, inside a sandbox.
    if (args[0] === "fs-helper") {
      const { fsHelper } = await import("./src/cli/fs_helper.ts");
      process.exit(await fsHelper(args.slice(1)));
    }
    const declared = [cli.globalCommand, ...cli.commands].flatMap((one) => one.options);
    cli.parse([runtime, program, ...plainArguments(args, declared)], { run: false });
    if (cli.options["help"] || cli.options["version"]) return;
    if (!cli.matchedCommand) {
      if (cli.args.length > 0) {
        throw new UsageError(`unknown command '${cli.args[0]}'; see \`exec-server --help\``);
      }
      cli.outputHelp();
      process.exitCode = ExitCode.usage;
      return;
    }
    await cli.runMatchedCommand();
  } catch (error) {
    fail(error);
  }
}

/** Declares a command that works in a session. */
function sessionCommand(
  name: string,
  summary: string,
  takes: { readonly process?: boolean; readonly force?: boolean },
  more: (added: Command) => Command = (added) => added,
): Command {
  const added = cli.command(name, summary)
    .option(
      "--url <url>",
      "ws://…, wss://… or unix:PATH of the server; also EXEC_SERVER_URL. Without it: yours on this machine",
    )
    .option("--url-file <file>", URL_FILE_HELP)
    .option("--token-file <file>", TOKEN_FILE_HELP)
    .option("--session <id>", "The session, as `run --detach` printed it");
  if (takes.process) {
    added.option("--process <id>", "The process; not needed when the session has only one");
  }
  if (takes.force) added.option("--force", "Take the session over when another connection has it");
  added.example(`  read -r SESSION PROCESS < <(exec-server run --url $URL --detach -- make)`)
    .example(`  exec-server ${name} --url $URL --session $SESSION`);
  return more(added);
}

/** The action of a command that takes options only. */
function command(action: (options: Record<string, unknown>) => Promise<number>) {
  return (options: Record<string, unknown>) => finish(() => action(options));
}

async function finish(action: () => Promise<number>): Promise<void> {
  let code: number;
  try {
    code = await action();
  } catch (error) {
    return fail(error);
  }
  // Not only `exitCode`: a pending read of stdin would keep the program alive.
  process.exit(code);
}

function fail(error: unknown): void {
  const usage = error instanceof UsageError || (error instanceof Error && error.name === "CACError");
  if (usage) {
    // cac names options in its own spelling: `--noSuchThing`.
    const message = error.message.replace(/(?<=`--?\w*)[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    process.stderr.write(`error: ${message}\n`);
    process.exit(ExitCode.usage);
  }
  process.stderr.write(`Error: ${messageOf(error)}\n`);
  process.exit(ExitCode.failure);
}

function afterDashes(options: Record<string, unknown>): string[] {
  const rest = options["--"];
  return Array.isArray(rest) ? rest.map(String) : [];
}
