/**
 * Which `Origin` and which `Host` a request may have. Origin keeps web pages out. Host keeps them out when a name
 * server gives their own name the address of this machine (DNS rebinding), and it is a second lock: a browser sends
 * Origin with every WebSocket.
 */
import type { IncomingMessage } from "node:http";
import { clip } from "../protocol/quote.ts";
import { canonicalName, hostName, isLoopbackName, isWildcard, type ListenAddress } from "./address.ts";
import type { Refusal } from "./refusal.ts";

/** A host, and a port when it matters. */
export interface HostName {
  /** In its canonical form. */
  readonly name: string;
  readonly port: number | undefined;
}

/** What a server lets in. */
export interface AccessRules {
  /** Whether a request with this `Origin` is let in. */
  origin(value: string): boolean;
  /** Whether this `Host` is let in; undefined where it says nothing: on a Unix socket. */
  readonly host: ((value: HostName) => boolean) | undefined;
}

/**
 * The rules for an address.
 * @param origins origins that are let in, exactly as browsers send them
 * @param hosts hosts that are let in beside the address and, where loopback is listened on, the names of loopback
 */
export function accessRules(
  address: ListenAddress,
  origins: readonly string[],
  hosts: readonly HostName[],
): AccessRules {
  const origin = (value: string) => origins.includes(value);
  if ("path" in address) return { origin, host: undefined };
  const own = hostName(address);
  const loopback = isWildcard(address) || isLoopbackName(own);
  return {
    origin,
    // The port is not looked at unless the operator named one: `ssh -L` and port mappings change it, and an attacker
    // who rebinds a name can choose it.
    host: ({ name, port }) =>
      name === own || (loopback && isLoopbackName(name)) ||
      hosts.some((one) => one.name === name && (one.port === undefined || one.port === port)),
  };
}

/** Reads `NAME`, `NAME:PORT`, `IP:PORT`, `[IPv6]:PORT`; undefined when it is nothing of that. */
export function parseHost(value: string): HostName | undefined {
  const [, name, digits] = /^(\[[0-9a-f:.]+\]|[0-9a-z_.-]+)(?::(\d{1,5}))?$/i.exec(value) ?? [];
  if (name === undefined || Number(digits ?? 0) > 65_535) return undefined;
  return { name: canonicalName(name), port: digits === undefined ? undefined : Number(digits) };
}

/** True for an origin as browsers send it: scheme and host, the port unless it is the scheme's own, nothing else. */
export function isOrigin(value: string): boolean {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@*]+$/.test(value) || !URL.canParse(value)) return false;
  const { origin } = new URL(value);
  return origin === "null" || origin === value; // `null`: a scheme that URL has no rules for, such as an extension's
}

/** Why a request does not come from where requests may come from: 403, on every route. */
export function refuseAccess(request: IncomingMessage, rules: AccessRules): Refusal | undefined {
  const { origin } = request.headers;
  if (origin !== undefined && !rules.origin(origin)) return { status: 403, reason: "Forbidden" };
  if (!rules.host) return undefined;
  const forbidden = (body: string): Refusal => ({ status: 403, reason: "Forbidden", body });
  // `headers.host` is the first of several; a proxy in front may have looked at another one.
  const [host, another] = request.headersDistinct["host"] ?? [];
  if (host === undefined || another !== undefined) return forbidden("exactly one Host header is needed");
  // `GET http://name/ HTTP/1.1` names its host a second time.
  if (!request.url?.startsWith("/")) return forbidden("the request target must be a path, not a URL");
  const parsed = parseHost(host);
  if (parsed === undefined) return forbidden("the Host header is not valid: NAME or NAME:PORT is needed");
  if (rules.host(parsed)) return undefined;
  return forbidden(
    `this server does not answer to the host '${clip(host)}'; its operator can allow it: --allow-host ${
      clip(parsed.name)
    }`,
  );
}
