import { open, rename, rm } from 'node:fs/promises';
import { PRIVATE_MODE } from '../runtime/private-file.ts';
import type { Problem } from '../runtime/problem.ts';

/**
 * A file that contains only the current token, mode 0600. Replaced atomically (rename), so that a reader sees the old or the
 * new token.
 *
 * Lifecycle: `write` for each token; `remove` once.
 */
export class TokenFile {
  readonly path: string;
  readonly #temporary: string;

  /** @param mark random letters that make the name of the temporary file unique */
  constructor(path: string, mark: string) {
    this.path = path;
    this.#temporary = `${path}.${mark}`;
  }

  /** Replaces the token. Returns a problem where that failed. */
  async write(token: string): Promise<Problem | null> {
    try {
      // Left by an interrupted write.
      await rm(this.#temporary, { force: true });
      const file = await open(this.#temporary, 'wx', PRIVATE_MODE);
      try {
        await file.writeFile(token);
      } finally {
        await file.close();
      }
      await rename(this.#temporary, this.path);
      return null;
    } catch (error) {
      await rm(this.#temporary, { force: true }).catch(() => undefined);
      return { problem: `the token file \`${this.path}\` could not be written: ${codeOf(error)}` };
    }
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true }).catch(() => undefined);
  }
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown error';
