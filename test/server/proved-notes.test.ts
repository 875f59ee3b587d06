import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { PolicySet } from '../../src/policy/loading/load.ts';
import type { ProvedNote } from '../../src/policy/loading/proved-note.ts';
import { notedLoad, provedNotesIn, tellWithdrawn } from '../../src/server/proved-notes.ts';

const setOf = (hash: string, lateProof: PolicySet['lateProof'] = null) =>
  ({ hash, schema: 's', lateProof }) as PolicySet;

const finding = { file: 'p/a.cedar', line: 2, column: 3, message: 'a wrong type', help: null };

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-notes-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A note that remembers what is written, and answers so. */
function noteThat(answer: { readonly problem: string } | null) {
  const written: string[] = [];
  const note: ProvedNote = {
    file: '/l/note',
    names: async () => false,
    write: async ({ hash }) => {
      written.push(hash);
      return answer;
    },
    remove: async () => answer,
  };
  return { note, written };
}

describe('provedNotesIn', () => {
  it('names the versions of Remit, Cedar and Node.js, in a file for the set in force and one for the candidate', async () => {
    const { policies, candidate } = provedNotesIn(folder, '26.10.0');
    await policies?.write(setOf('sha-256:one'));
    expect(candidate?.file).toBe(join(folder, 'policies', '.proved-candidate'));
    expect(await candidate?.names(setOf('sha-256:one'))).toBe(false);
    const manifest = JSON.parse(await readFile('package.json', 'utf8'));
    expect(JSON.parse(await readFile(join(folder, 'policies', '.proved-policies'), 'utf8'))).toEqual({
      proved: 'sha-256:one',
      schema: expect.stringMatching(/^sha-256:/),
      remit: manifest.version,
      cedar: manifest.dependencies['@cedar-policy/cedar-wasm'],
      node: '26.10.0',
    });
  });

  it('uses none where the version of Node.js is not told', () => {
    expect(provedNotesIn(folder, undefined)).toEqual({ policies: null, candidate: null });
  });
});

describe('notedLoad', () => {
  it('notes each set that was proved, once, and says where that fails', async () => {
    const { note, written } = noteThat({ problem: 'ENOSPC' });
    const loads = [setOf('late', Promise.resolve({ warnings: [] })), setOf('one'), setOf('one'), setOf('two')];
    const log: string[] = [];
    const load = notedLoad(async () => loads.shift() ?? { findings: [finding] }, {
      note,
      log: (line) => log.push(line),
    });
    for (let n = 0; n < 5; n += 1) await load();
    expect(written).toEqual(['one', 'two']);
    expect(log).toEqual(
      Array.from({ length: 2 }, () => 'policies: the note `/l/note` of the proved set could not be written: ENOSPC'),
    );
  });
});

describe('tellWithdrawn', () => {
  it.each([
    ['deleted', null, 'the note is deleted'],
    ['not deleted', { problem: 'EROFS' }, 'the note could not be deleted (EROFS): delete it'],
  ])('says in a line what was found and what to do, where the note is %s', async (_name, answer, end) => {
    const { note } = noteThat(answer);
    const told: string[] = [];
    await tellWithdrawn(
      setOf('sha-256:one'),
      { findings: [finding, finding] },
      { note, tell: (line) => told.push(line), effect: 'everything is denied' },
    );
    expect(told).toEqual([
      `set sha-256:one is withdrawn and everything is denied: the note \`/l/note\` says that it was proved, but its proof failed: p/a.cedar:2:3: a wrong type (and 1 more); it is proved again now, before any use; ${end}`,
    ]);
  });
});
