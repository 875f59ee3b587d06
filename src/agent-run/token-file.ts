import { open, rename, rm } from 'node:fs/promises';
import { PRIVATE_MODE } from '../runtime/private-file.ts';
import type { Problem } from '../token/members.ts';

/**
 * A file with the current token and nothing else, mode 0600. Each token comes by rename, so that a reader finds the old one
 * or the new one and never a part.
 *
 * Lifecycle: `write` as often as there is a token; `remove` once.
 */
export class TokenFile {
  readonly path: string;
  readonly #temporary: string;

  /** @param mark random letters, so that no other program's file is in the way of the temporary one */
  constructor(path: string, mark: string) {
    this.path = path;
    this.#temporary = `${path}.${mark}`;
  }

  /** Puts a token in place of the one before, or says why it could not. */
  async write(token: string): Promise<Problem | null> {
    try {
      // Of an interrupted write before.
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
