/**
 * The code of an error of the system or of a library, such as `ENOENT`; `undefined` for an error without a code. A code quotes no path, key or value,
 * so that it may be shown if the message of the error may not.
 */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  const { code } = error;
  return typeof code === 'string' || typeof code === 'number' ? String(code) : undefined;
}
