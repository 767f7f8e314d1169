/** Which server a command talks to, and with which token. */
import { readFileSync } from "node:fs";
import process from "node:process";
import { localServers, parseConnectionFile } from "../discovery/connection_file.ts";
import type { RemoteOptions } from "../client/link.ts";
import { Environment } from "../environment.ts";
import { messageOf } from "../protocol/error.ts";
import { UsageError } from "./exit.ts";
import { type Options, textOption, tlsOptions } from "./options.ts";

/** A server, as a command names it. */
export interface ServerChoice {
  readonly url: string;
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string;
  /** The arguments that name it for another command, without its token. */
  readonly again: readonly string[];
}

/** Says that this machine itself is meant, though a server may run on it. */
const LOCAL = "local";

/**
 * The server that `--url`, `--url-file` or EXEC_SERVER_URL names, else the one of this user that runs on this machine;
 * undefined when there is none, and for `--url local`.
 * @throws UsageError when what is named is no WebSocket URL, or several servers run here
 */
export function chosenServer(options: Options): ServerChoice | undefined {
  const asked = textOption(options, "url");
  const file = textOption(options, "url-file");
  if (asked !== undefined && file !== undefined) throw new UsageError("pass --url or --url-file, not both");
  if (file !== undefined) return inFile(file, options);
  if (asked !== undefined) return named(asked, options, ["--url", withoutToken(asked)]);
  const inherited = process.env["EXEC_SERVER_URL"] ?? "";
  return inherited === "" ? found() : named(inherited, options, []);
}

/** The environment of a {@link chosenServer}, or this machine. @throws UsageError when options do not fit to it */
export async function openEnvironment(
  server: ServerChoice | undefined,
  options: Options,
  how: RemoteOptions = {},
): Promise<Environment> {
  if (server !== undefined) return await connectTo(server, options, how);
  tlsOptions(options, undefined); // to be refused
  return Environment.local();
}

/** Connects as a command does. */
export async function connectTo(
  { url, token }: ServerChoice,
  options: Options,
  how: RemoteOptions,
): Promise<Environment> {
  warnOfToken(options);
  return await Environment.connect(url, {
    clientName: "exec-server-cli",
    ...tlsOptions(options, url),
    ...(token !== undefined && { token }),
    ...how,
  });
}

/** As {@link chosenServer}. @throws UsageError also when there is none */
export function requireServer(options: Options, what: string): ServerChoice {
  const server = chosenServer(options);
  if (server !== undefined) return server;
  throw new UsageError(`${what}: pass --url, or start one with \`exec-server serve\``);
}

/** Warns of a token that everyone on this machine can read. */
function warnOfToken(options: Options): void {
  const url = textOption(options, "url");
  if (url === undefined || withoutToken(url) === url) return;
  process.stderr.write(
    "exec-server: warning: the token in --url can be seen by every user of this machine (ps); " +
      "use EXEC_SERVER_URL, --url-file or --token-file instead\n",
  );
}

function named(url: string, options: Options, again: readonly string[]): ServerChoice | undefined {
  if (url === LOCAL) return undefined;
  return { url: webSocketUrl(url, "--url"), ...tokenOption(options), again };
}

function inFile(path: string, options: Options): ServerChoice {
  const text = read(path, "--url-file").trim();
  const again = ["--url-file", path];
  if (!text.startsWith("{")) {
    return { url: webSocketUrl(text, `--url-file ${path}`), ...tokenOption(options), again };
  }
  return { ...access(connectionIn(text, path)), ...tokenOption(options), again };
}

function connectionIn(text: string, path: string) {
  try {
    return parseConnectionFile(text);
  } catch {
    throw new UsageError(`--url-file ${path}: neither a URL nor a connection file`);
  }
}

function found(): ServerChoice | undefined {
  const [server, ...others] = localServers();
  if (server === undefined) return undefined;
  if (others.length === 0) return { ...access(server), again: [] };
  const list = [server, ...others].map(({ path, url, listeningSince }) =>
    `  --url-file ${path}   # ${url}, since ${listeningSince}\n`
  );
  throw new UsageError(
    `${list.length} servers of yours run on this machine; name one of them, or \`--url ${LOCAL}\` for none:\n${
      list.join("").trimEnd()
    }`,
  );
}

function access({ url, token }: { url: string; token?: string | undefined }) {
  return { url, ...(token !== undefined && { token }) };
}

/** `--token-file` or EXEC_SERVER_TOKEN. */
function tokenOption(options: Options): { token?: string } {
  const file = textOption(options, "token-file");
  const token = file === undefined
    ? process.env["EXEC_SERVER_TOKEN"] ?? ""
    : read(file, "--token-file").trim();
  if (file !== undefined && token === "") throw new UsageError(`--token-file ${file} is empty`);
  return token === "" ? {} : { token };
}

function read(path: string, option: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${option}: ${messageOf(error)}`);
  }
}

function webSocketUrl(url: string, where: string): string {
  if (/^(wss?:\/\/|unix:)/.test(url)) return url;
  throw new UsageError(`${where} must begin with ws://, wss:// or unix:`);
}

/** Also without user and password, which are for a proxy. */
function withoutToken(url: string): string {
  return url.replace(/(?<=[?&]token=)[^&#]+/g, "…").replace(/^(wss?:\/\/)[^?#]*@/, "$1…@");
}
