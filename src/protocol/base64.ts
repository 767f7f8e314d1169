import { Buffer } from "node:buffer";

/** Standard base64 with padding (RFC 4648, section 4), without copying the bytes first. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
