/** Who is at the other end of a socket. */

/** What every socket tells. */
interface Socketlike {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/**
 * Address and port of a client, for messages and logs; `unix` for a Unix socket. To be asked for while the socket is
 * open: of a closed one it cannot be told any more.
 */
export function peerOf({ remoteAddress, remotePort = 0 }: Socketlike): string {
  if (remoteAddress === undefined) return "unix";
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
