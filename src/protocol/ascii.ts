/** True for a text of ASCII only: as many bytes as characters, in UTF-8 and in Latin-1 alike. */
export function isAscii(text: string): boolean {
  // deno-lint-ignore no-control-regex
  return /^[\x00-\x7f]*$/.test(text);
}
