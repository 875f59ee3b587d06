import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writablePathProblem } from '../../config/writable-path.ts';
import { PRIVATE_MODE, privateFileProblem } from '../../runtime/private-file.ts';
import type { Problem } from '../../runtime/problem.ts';
import type { ReadSet } from './proved-set.ts';

/** A set as a note names it. */
export type NotedSet = Pick<ReadSet, 'hash' | 'schema'>;

/** The versions of what proves a set. Another version may find something else. */
export interface ProvingProgram {
  readonly remit: string;
  readonly cedar: string;
  readonly node: string;
}

/** The note of the set that was proved last, in a private file. Only a set that it names may be used before its proof has ended. */
export interface ProvedNote {
  readonly file: string;
  /** Whether the note names this set and this program. Never rejects: a note that cannot be trusted names nothing. */
  readonly names: (set: NotedSet) => Promise<boolean>;
  /** Replaces the note. */
  readonly write: (set: NotedSet) => Promise<Problem | null>;
  readonly remove: () => Promise<Problem | null>;
}

/** A note has some 250 bytes. */
const MAX_BYTES = 4096;

/**
 * The note in a file. It is read only where it is a regular file of at most 4 KiB with mode 0600, and no other account can write a folder that
 * leads to it. Calls of one note run one at a time.
 */
export function provedNoteIn(file: string, program: ProvingProgram): ProvedNote {
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.catch(() => undefined);
    return done;
  };
  const changed = (change: () => Promise<void>): Promise<Problem | null> =>
    inTurn(() => change().then(() => null, problemOf));
  return {
    file,
    names: (set) => inTurn(async () => (await trustedText(file)) === noteText(set, program)),
    write: (set) => changed(() => replace(file, noteText(set, program))),
    remove: () => changed(() => rm(file, { force: true })),
  };
}

/** Names a set and a program: everything that the result of a proof depends on. */
function noteText({ hash, schema }: NotedSet, { remit, cedar, node }: ProvingProgram): string {
  const schemaHash = `sha-256:${createHash('sha256').update(schema).digest('base64url')}`;
  return `${JSON.stringify({ proved: hash, schema: schemaHash, remit, cedar, node })}\n`;
}

/** `null` where there is no such file, or where others may have written it. */
async function trustedText(file: string): Promise<string | null> {
  try {
    if ((await writablePathProblem(file)) !== null) return null;
    // INVARIANT: what is checked is what is read, and a named pipe does not block.
    const opened = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = await opened.stat();
      if (privateFileProblem(file, stats) !== null || stats.size > MAX_BYTES) return null;
      const { buffer, bytesRead } = await opened.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await opened.close();
    }
  } catch {
    return null;
  }
}

/** Not synced: a note that is lost in a crash costs one proof. */
async function replace(file: string, text: string): Promise<void> {
  const fresh = `${file}.new`;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await rm(fresh, { force: true });
  await writeFile(fresh, text, { mode: PRIVATE_MODE, flag: 'wx' });
  await rename(fresh, file);
}

const problemOf = (error: NodeJS.ErrnoException): Problem => ({ problem: error.code ?? String(error) });
