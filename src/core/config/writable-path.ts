import { constants, type Stats } from 'node:fs';
import { access, lstat, readlink } from 'node:fs/promises';
import { dirname, join, parse, resolve, sep } from 'node:path';
import { errorCode } from '../runtime/system/error-code.ts';

/** Why a path may not be trusted; `null` if it may. Never rejects. */
export type PathGuard = (path: string) => Promise<string | null>;

/** The option of `remit serve` that accepts files that others can write. */
export const ACCEPT_WRITABLE = 'accept-writable-files';

/** Accepts every path. */
export const anyPath: PathGuard = async () => null;

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;
/** As many symbolic links as Linux follows. */
const MAX_LINKS = 40;

/**
 * Why a path is not trusted: the file, or a folder that leads to it, is writable by its group or by everybody. Each symbolic link
 * is followed separately, so that the folders of each are checked: for a mounted ConfigMap, those of the link and of `..data`.
 * Two kinds of writable folder are accepted: a sticky folder, such as `/tmp`, for an entry of root or of the file's owner, which
 * nobody else can replace; and a folder on a read-only mount, such as a ConfigMap (mode 0777). Who owns the file and its folders
 * is not checked.
 *
 * @see OpenSSH `StrictModes` (`safe_path`), Postfix, sudoers: the same rule for modes, and a rule for owners too
 */
export const writablePathProblem: PathGuard = async (path) => {
  const looked = new Set<string>();
  let next = resolve(path);
  try {
    for (let links = 0; links <= MAX_LINKS; links += 1) {
      const found = await firstOn(next, looked);
      if (found === null) return null;
      if (found.kind === 'writable') return writableText(path, found);
      next = found.path;
    }
  } catch (error) {
    return `cannot check who may write \`${path}\`: ${errorCode(error) ?? 'unknown error'}`;
  }
  return `\`${path}\` leads through more than ${MAX_LINKS} links`;
};

interface Writable {
  readonly kind: 'writable';
  readonly step: string;
  readonly mode: number;
}

/** The first symbolic link on a path, resolved, or the first folder or file that others can write; `null` if there is neither. */
async function firstOn(
  path: string,
  looked: Set<string>,
): Promise<Writable | { readonly kind: 'link'; readonly path: string } | null> {
  for (const step of stepsTo(path)) {
    const stats = await lstat(step);
    if (stats.isSymbolicLink()) {
      return { kind: 'link', path: join(resolve(dirname(step), await readlink(step)), path.slice(step.length)) };
    }
    if (!looked.has(step) && (await isWritable(step, stats, path))) return { kind: 'writable', step, mode: stats.mode };
    looked.add(step);
  }
  return null;
}

/** A path and all folders that lead to it, from the root on. */
function stepsTo(path: string): readonly string[] {
  const { root } = parse(path);
  const steps = [root];
  for (const name of path.slice(root.length).split(sep).filter(Boolean)) steps.push(join(steps.at(-1) ?? root, name));
  return steps;
}

async function isWritable(step: string, stats: Stats, path: string): Promise<boolean> {
  if ((stats.mode & WRITABLE_BY_OTHERS) === 0) return false;
  if (stats.isDirectory() && (stats.mode & STICKY) !== 0 && step !== path) {
    const name = path
      .slice(step.length)
      .split(sep)
      .find((part) => part !== '');
    const entry = await lstat(join(step, name ?? ''));
    if (entry.uid === 0 || entry.uid === (await lstat(path)).uid) return false;
  }
  return !(await isReadOnly(step));
}

/** Asks the kernel, as a write would: a read-only mount answers EROFS even if the mode permits writing. */
const isReadOnly = (step: string): Promise<boolean> =>
  access(step, constants.W_OK).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'EROFS',
  );

function writableText(path: string, { step, mode }: Writable): string {
  const bits = (mode & 0o7777).toString(8).padStart(4, '0');
  const what = step === path ? 'it' : `\`${step}\``;
  return `\`${path}\` can be changed by others, since ${what} has mode ${bits}: remove that with \`chmod go-w\`, or accept that with \`remit serve --${ACCEPT_WRITABLE}\``;
}
