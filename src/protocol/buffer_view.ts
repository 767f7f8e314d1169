import { Buffer } from "node:buffer";

/**
 * Bytes as a Buffer, over the same memory. What is one already stays as it is: to ask for the memory behind bytes takes
 * Bun longer than to decode a short message.
 */
export function bufferView(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
