import { open, rename, rm } from 'node:fs/promises';
import { PRIVATE_MODE } from '../../core/runtime/system/private-file.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/**
 * A file of mode 0600 for the command of a run: its token, or its SVID. Replaced atomically (rename), so that a reader sees the
 * old or the new content.
 *
 * Lifecycle: `write` for each content; `remove` once.
 */
export class HandedFile {
  readonly path: string;
  readonly #temporary: string;
  readonly #what: string;

  /**
   * @param what it contains, for messages
   * @param mark random letters that make the name of the temporary file unique
   */
  constructor(path: string, { what, mark }: { readonly what: string; readonly mark: string }) {
    this.path = path;
    this.#what = what;
    this.#temporary = `${path}.${mark}`;
  }

  /** Replaces the content. Returns a problem if that failed. */
  async write(text: string): Promise<Problem | null> {
    try {
      // Left by an interrupted write.
      await rm(this.#temporary, { force: true });
      const file = await open(this.#temporary, 'wx', PRIVATE_MODE);
      try {
        await file.writeFile(text);
      } finally {
        await file.close();
      }
      await rename(this.#temporary, this.path);
      return null;
    } catch (error) {
      await rm(this.#temporary, { force: true }).catch(() => undefined);
      return {
        problem: `the ${this.#what} file \`${this.path}\` could not be written: ${errorCode(error) ?? 'unknown error'}`,
      };
    }
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true }).catch(() => undefined);
  }
}
