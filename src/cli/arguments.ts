/**
 * Arguments that mean what they say. cac's parser makes numbers of texts that look like some, and takes what follows a
 * switch for its value: `fs rm -f 008` removed the file `8`.
 */

/** An option as cac declares it. */
export interface Declared {
  readonly names: readonly string[];
  readonly isBoolean?: boolean | undefined;
}

/** Stands before every given value, so that none looks like a number; {@link givenText} takes it off. */
const MARK = "=";

/** The same arguments, written so that the parser cannot misunderstand them; what follows `--` is left alone. */
export function plainArguments(args: readonly string[], options: readonly Declared[]): string[] {
  const takesValue = (name: string) =>
    options.some((option) => option.isBoolean !== true && option.names.includes(camelCase(name)));
  const plain: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "--") return plain.concat(args.slice(i));
    const [, name, value] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(arg) ?? [];
    if (name === undefined || name.startsWith("no-")) {
      plain.push(arg);
    } else if (!takesValue(name)) {
      // In the parser's spelling: it would not know `--read-only` as the switch `readOnly`, and give the text "true".
      plain.push(arg.replace(name, camelCase(name)) + (value === undefined ? "=true" : ""));
    } else if (value !== undefined) {
      plain.push(arg.replace("=", `=${MARK}`));
    } else {
      const next = args[i + 1];
      if (next === undefined || next.startsWith("-")) {
        plain.push(arg); // the parser complains
      } else {
        plain.push(`${arg}=${MARK}${next}`);
        i++;
      }
    }
  }
  return plain;
}

/** A value as it was given. */
export function givenText(value: string): string {
  return value.startsWith(MARK) ? value.slice(MARK.length) : value;
}

/** `session-ttl` is `sessionTtl` among the parsed options. */
export function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
