import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';

/**
 * A folder for the tests of a file or a `describe`, made when it is first read. It is removed after them, once `close` has
 * closed what they opened in it.
 */
export function testFolder(close?: () => unknown): { readonly folder: string } {
  let made: string | undefined;
  afterAll(async () => {
    await close?.();
    if (made !== undefined) rmSync(made, { recursive: true, force: true });
  });
  return {
    get folder() {
      return (made ??= mkdtempSync(join(tmpdir(), 'remit-')));
    },
  };
}

/** As `testFolder`, a new folder for each call, which only this user may enter. */
export function testFolders(close?: () => unknown): () => string {
  const root = testFolder(close);
  return () => {
    chmodSync(root.folder, 0o700);
    return mkdtempSync(join(root.folder, 'case-'));
  };
}
