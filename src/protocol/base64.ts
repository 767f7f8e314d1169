import { bufferView } from "./buffer_view.ts";

/** Standard base64 with padding (RFC 4648, section 4), without copying the bytes first. */
export function encodeBase64(bytes: Uint8Array): string {
  return bufferView(bytes).toString("base64");
}
