/** System error codes in words; other codes are shown as they are. */
const meanings: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'no such file or folder'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'operation not permitted'],
  ['EISDIR', 'it is a folder'],
  ['ENOTDIR', 'a part of the path is not a folder'],
  ['ENOSPC', 'no space left on the disk'],
  ['EROFS', 'the file system is read-only'],
  ['EMFILE', 'too many open files'],
  ['ELOOP', 'too many symbolic links'],
  ['ENAMETOOLONG', 'the path is too long'],
]);

/**
 * Lines for a person about an error that ended a command: the path that cannot be used, or for a bug its message;
 * `NODE_DEBUG=remit` adds the stack.
 */
export function faultText(
  error: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const { code, path, message, stack } = shapeOf(error);
  const firstLine = message.split('\n', 1)[0] ?? '';
  const wantsStack = (environment['NODE_DEBUG'] ?? '').split(',').includes('remit');
  const stackLines = wantsStack && stack !== null ? stack.split('\n') : [];
  if (code !== null && path !== null) return [`cannot use \`${path}\`: ${meanings.get(code) ?? code}`, ...stackLines];
  const hint = wantsStack ? '' : '; `NODE_DEBUG=remit` shows where';
  return [`stopping: an unexpected fault: ${firstLine}${hint}`, ...stackLines];
}

interface ErrorShape {
  readonly code: string | null;
  readonly path: string | null;
  readonly message: string;
  readonly stack: string | null;
}

/** By shape, because an error may come from another realm. */
function shapeOf(error: unknown): ErrorShape {
  if (typeof error !== 'object' || error === null)
    return { code: null, path: null, message: String(error), stack: null };
  const text = (name: string): string | null => {
    const value: unknown = Reflect.get(error, name);
    return typeof value === 'string' ? value : null;
  };
  return { code: text('code'), path: text('path'), message: text('message') ?? 'unknown error', stack: text('stack') };
}
