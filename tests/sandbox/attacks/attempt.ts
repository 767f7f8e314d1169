// The two shapes of attacks.
import type { Attack, Bare, Identity } from "./attack.ts";
import type { Scene } from "./scene.ts";

/** Works without a sandbox for root only. */
export const ROOT_ONLY: Readonly<Record<Identity, Bare>> = { root: "open", user: "closed" };

/** What else an attack has; alone, what happens without a sandbox. */
export type More = Partial<Attack> | Bare | Readonly<Record<Identity, Bare>>;

function members(more: More): Partial<Attack> {
  return typeof more === "string" || "root" in more ? { bare: more } : more;
}

/** Does something in the shell; whether it worked is seen outside. */
export function shell(
  id: string,
  tries: string,
  stoppedBy: string,
  script: (scene: Scene) => string,
  more: More = {},
): Attack {
  return {
    id,
    tries,
    stoppedBy,
    program: (scene) => ({ sh: `{ ${script(scene)}\n} 2>&1\nsay TRIED` }),
    ...members(more),
  };
}

/** Does something with system calls. */
export function perl(
  id: string,
  tries: string,
  stoppedBy: string,
  script: (scene: Scene) => string,
  more: More = {},
): Attack {
  return { id, tries, stoppedBy, program: (scene) => ({ perl: script(scene) }), ...members(more) };
}

/** Opens each file for writing without writing. */
export const opensForWriting = (id: string, tries: string, files: string, more: Partial<Attack>): Attack => ({
  id,
  tries,
  stoppedBy: "read-only mounts over the kernel's files",
  program: () => ({
    perl: String.raw`
my @files = grep { -e $_ } (${files}); skip("no such file here") unless @files;
for my $file (@files) { escaped("opened $file") if sysopen(my $f, $file, O_WRONLY) } blocked("$!");`,
  }),
  ...more,
});
