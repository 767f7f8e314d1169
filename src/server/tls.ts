/** TLS in front of the HTTP server: certificates from files, read again on request. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Server as HttpServer } from "node:http";
import type { Duplex } from "node:stream";
import { createServer, type SecureContextOptions, type Server as TlsServer } from "node:tls";
import { ExecServerError, hasCode } from "../protocol/error.ts";
import { isObject } from "../protocol/method.ts";
import { osErrorText } from "../protocol/os_error.ts";
import type { SocketRefused } from "./gate.ts";
import { peerOf } from "./peer.ts";

/** Paths of PEM files. */
export interface TlsFiles {
  /** The server's certificate, and those between it and its authority. */
  readonly cert: string;
  /** Its private key, without a passphrase. */
  readonly key: string;
  /** Authorities; a client must show a certificate of one of them. Absent: clients need none. */
  readonly clientCa?: string | undefined;
}

/** A TLS server whose connections go to an HTTP server. */
export interface TlsFront {
  readonly server: TlsServer;
  /** Reads the files again, for connections that come later. @throws ExecServerError as {@link loadTls} does */
  reload(): void;
  /** Cuts all connections. */
  cut(): void;
}

/** Time for the handshake, in ms. Node's default is 120 s. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Files that have been read, by whoever may read them: `--user` comes later. */
export interface LoadedTls {
  readonly files: TlsFiles;
  readonly credentials: SecureContextOptions;
}

/**
 * Reads the files.
 * @throws ExecServerError a POSIX name when a file cannot be read, `INVALID_REQUEST` when it does not hold what it should
 */
export function loadTls(files: TlsFiles): LoadedTls {
  return { files, credentials: readCredentials(files) };
}

/**
 * Puts TLS in front of `http`. It is not an `https` server: Bun's has no `setSecureContext`.
 * @param http not listening itself
 * @param refused told of handshakes that fail
 */
export function tlsFront(
  http: HttpServer,
  { files, credentials }: LoadedTls,
  refused: SocketRefused,
): TlsFront {
  const demanded = files.clientCa !== undefined;
  const open = new Set<Duplex>();
  const server = createServer({
    ...credentials,
    requestCert: demanded,
    rejectUnauthorized: demanded,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  }, (socket) => {
    socket.on("error", () => {}); // a peer that resets must not end the server
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.setNoDelay(true); // an HTTP server does so for connections of its own
    http.emit("connection", socket);
  });
  const peers = new WeakMap<object, string>();
  server.on("connection", (socket) => peers.set(socket, peerOf(socket)));
  server.on("tlsClientError", (error, socket) => {
    // Of a socket that is closed by now Node and Deno do not tell the address, but which one it was put on.
    const below: unknown = "_parent" in socket ? socket._parent : undefined;
    const peer = (isObject(below) ? peers.get(below) : undefined) ?? peerOf(socket);
    refused(peer, `TLS handshake failed (${hasCode(error) ? error.code : error.name})`);
  });
  return {
    server,
    reload: () => server.setSecureContext(readCredentials(files)),
    cut() {
      for (const socket of open) socket.destroy();
    },
  };
}

/** Checked here: Deno takes anything, and Node any text as `ca`. */
function readCredentials(files: TlsFiles): SecureContextOptions {
  const cert = readPem(files.cert, "--tls-cert");
  const key = readPem(files.key, "--tls-key");
  const [own] = certificatesIn(cert, files.cert, "--tls-cert");
  const privateKey = attempt(
    () => createPrivateKey(key),
    `--tls-key ${files.key}: no private key in PEM form without a passphrase`,
  );
  if (!own?.checkPrivateKey(privateKey)) {
    throw invalid(`--tls-key ${files.key} is not the key of the certificate in ${files.cert}`);
  }
  if (files.clientCa === undefined) return { cert, key };
  const ca = readPem(files.clientCa, "--tls-client-ca");
  certificatesIn(ca, files.clientCa, "--tls-client-ca");
  return { cert, key, ca };
}

function certificatesIn(pem: string, path: string, option: string): X509Certificate[] {
  const problem = `${option} ${path}: no certificate in PEM form`;
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  if (blocks.length === 0) throw invalid(problem);
  return blocks.map((block) => attempt(() => new X509Certificate(block), problem));
}

/** @throws ExecServerError with the POSIX name of the failure */
function readPem(path: string, option: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (!hasCode(error)) throw error;
    throw new ExecServerError(error.code, `${option} ${path}: ${osErrorText(error.code)}`, { cause: error });
  }
}

function attempt<T>(make: () => T, problem: string): T {
  try {
    return make();
  } catch (error) {
    throw new ExecServerError("INVALID_REQUEST", problem, { cause: error });
  }
}

function invalid(message: string): ExecServerError {
  return new ExecServerError("INVALID_REQUEST", message);
}
