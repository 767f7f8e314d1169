import { runtime } from "./detect.ts";

/** False where `node:fs` takes names for text: Deno would touch another file than the one that was named. */
export const fileNamesAreBytes: boolean = runtime !== "deno";

/** Memory that comes from sockets is given back soon after its last use: Bun keeps 300 MB of a stream of 1 GiB. */
export const collectsInTime: boolean = runtime !== "bun";

/** A socket that was upgraded tells how many bytes have come: not in Bun, unless it is on its stream transport. */
export const countsBytesRead: boolean = runtime !== "bun";
