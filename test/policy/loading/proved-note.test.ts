import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../src/policy/cedar.ts';
import { compileInWorker } from '../../../src/policy/loading/compile.ts';
import type { Compile } from '../../../src/policy/loading/compile.ts';
import { policySetFrom, policySetsToServe } from '../../../src/policy/loading/load.ts';
import type { PolicySet } from '../../../src/policy/loading/load.ts';
import { prove } from '../../../src/policy/loading/proof.ts';
import { provedNoteIn } from '../../../src/policy/loading/proved-note.ts';
import type { ProvedNote } from '../../../src/policy/loading/proved-note.ts';
import { prepared } from '../../../src/policy/loading/proved-set.ts';
import type { PolicySource } from '../../../src/policy/loading/source.ts';
import { folderWith } from '../../builders/policy-folder.ts';
import { must } from '../../builders/must.ts';

const program = { remit: '1.0.0+abc', cedar: '4.13.0', node: '26.10.0' };
const set = { hash: 'sha-256:one', schema: 'namespace Remit {}' };
const permit = '@id("p") permit (principal, action, resource);';
/** Its policies parse, and its types are wrong. */
const ofNoType = '@id("q") permit (principal, action, resource) when { context.risc == "low" };';
const ofRisk = '@id("s") permit (principal, action, resource) when { context.risk == "low" };';
const neverMatching = '@id("r") permit (principal, action, resource) when { 1 == 2 };';

let folder = '';
let file = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-note-'));
  file = join(folder, 'policies', '.proved-policies');
});
afterEach(() => rm(folder, { recursive: true }));

/** What can be wrong with a note, applied to a note that is right. */
const wrong: readonly (readonly [string, () => Promise<unknown>])[] = [
  ['is missing', () => rm(file)],
  ['is empty', () => writeFile(file, '')],
  ['is garbage', () => writeFile(file, '{"proved":')],
  ['has more text', async () => writeFile(file, `${await readFile(file, 'utf8')} `)],
  ['is too large', async () => writeFile(file, (await readFile(file, 'utf8')).padEnd(5000))],
  ['can be read by its group', () => chmod(file, 0o640)],
  ['can be written by all', () => chmod(file, 0o602)],
  ['is in a folder that all can write', () => chmod(dirname(file), 0o702)],
  ['is below a folder that its group can write', () => chmod(folder, 0o720)],
  [
    'is a link',
    async () => {
      await rename(file, join(folder, 'other'));
      await symlink(join(folder, 'other'), file);
    },
  ],
  [
    'is a folder',
    async () => {
      await rm(file);
      await mkdir(file);
    },
  ],
  [
    'is a named pipe',
    async () => {
      await rm(file);
      execFileSync('mkfifo', ['-m', '600', file]);
    },
  ],
];

describe('provedNoteIn', () => {
  it('names the set and the program that were written last, in a private file', async () => {
    const note = provedNoteIn(file, program);
    expect(await note.names(set)).toBe(false);
    expect(await note.write(set)).toBeNull();
    expect(await note.names(set)).toBe(true);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(dirname(file))).mode & 0o777).toBe(0o700);
    const other = { ...set, hash: 'sha-256:two' };
    expect(await Promise.all([note.write(other), note.names(set), note.names(other)])).toEqual([null, false, true]);
    expect(await readdir(dirname(file))).toEqual(['.proved-policies']);
    expect(await note.remove()).toBeNull();
    expect(await note.names(other)).toBe(false);
  });

  it.each([
    ['another hash', { ...set, hash: 'sha-256:two' }, program],
    ['another schema', { ...set, schema: 'namespace Remit { }' }, program],
    ['another version of Remit', set, { ...program, remit: '1.0.1+abc' }],
    ['another version of Cedar', set, { ...program, cedar: '4.14.0' }],
    ['another version of Node.js', set, { ...program, node: '26.11.0' }],
  ])('names no set of %s', async (_name, asked, by) => {
    await provedNoteIn(file, program).write(set);
    expect(await provedNoteIn(file, by).names(asked)).toBe(false);
  });

  it.each(wrong)('names nothing where the file %s', async (_name, change) => {
    const note = provedNoteIn(file, program);
    await note.write(set);
    await change();
    expect(await note.names(set)).toBe(false);
  });

  it('says why a note cannot be written or deleted', async () => {
    await writeFile(join(folder, 'policies'), '');
    const note = provedNoteIn(file, program);
    expect([await note.write(set), await note.remove()]).toEqual([{ problem: 'EEXIST' }, { problem: 'ENOTDIR' }]);
  });
});

/** A proof that is held after the policies are read. */
function heldProof() {
  const [read, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const compile: Compile = async (input, onRead) => {
    const proof = prove(input, freshCedar(), onRead);
    read.resolve();
    await released.promise;
    return proof;
  };
  return { compile, read: read.promise, release: released.resolve };
}

/** The note of a folder's content. */
async function noteOf(source: PolicySource, by = program): Promise<ProvedNote> {
  const { given } = await prepared(source);
  if (given === null) throw new Error('the folder has no schema');
  await provedNoteIn(file, program).write(given.set);
  return provedNoteIn(file, by);
}

describe('policySetFrom', () => {
  it('gives a set that the note names before its proof has ended, and its warnings then', async () => {
    const source = folderWith(`${permit}\n${neverMatching}`);
    const { compile, release } = heldProof();
    const early = must(await policySetFrom(source, { compile, note: await noteOf(source) }));
    expect(early.policies.map(({ id }) => id)).toEqual(['p', 'r']);
    expect(early.warnings).toEqual([]);
    release();
    const proved = must(await policySetFrom(source, { compile }));
    expect(proved.lateProof).toBeNull();
    expect(proved.warnings).toHaveLength(1);
    expect(await early.lateProof).toEqual({ warnings: proved.warnings });
  });

  it.each<readonly [string, (source: PolicySource) => Promise<ProvedNote>]>([
    ['names another set', () => noteOf(folderWith(permit.replace('"p"', '"other"')))],
    ['names another program', (source) => noteOf(source, { ...program, remit: '2.0.0' })],
    ...wrong.map(
      ([name, change]) =>
        [
          name,
          async (source: PolicySource) => {
            const note = await noteOf(source);
            await change();
            return note;
          },
        ] as const,
    ),
  ])('gives a set only after its proof where the note %s', async (_name, wrongNote) => {
    const source = folderWith(permit);
    const { compile, read, release } = heldProof();
    const order: string[] = [];
    const loading = policySetFrom(source, { compile, note: await wrongNote(source) });
    const given = loading.then(() => order.push('set'));
    await read;
    for (let turn = 0; turn < 50; turn += 1) await nextTurn();
    order.push('proof');
    release();
    await given;
    expect(order).toEqual(['proof', 'set']);
    expect(must(await loading).lateProof).toBeNull();
  });

  it.each<readonly [string, string, Compile, string]>([
    ['finds anything', ofNoType, compileInWorker(), 'risc'],
    [
      'cannot be completed',
      permit,
      async (input, onRead) => {
        prove(input, freshCedar(), onRead);
        return { problem: 'the thread ended with 1' };
      },
      'the policy set could not be compiled: the thread ended with 1',
    ],
    [
      'throws',
      permit,
      async (input, onRead) => {
        prove(input, freshCedar(), onRead);
        throw new Error('a bug');
      },
      'the proof failed: Error: a bug',
    ],
  ])('has findings in `lateProof` where the proof of a set %s', async (_name, policies, compile, message) => {
    const source = folderWith(policies);
    const early = must(await policySetFrom(source, { compile, note: await noteOf(source) }));
    expect(await early.lateProof).toEqual({
      findings: [expect.objectContaining({ message: expect.stringContaining(message) })],
    });
  });

  it('gives the findings of a set whose policies cannot be read, whatever the note names', async () => {
    const source = folderWith(`${permit}\n${permit}`);
    const found = await policySetFrom(source, { compile: compileInWorker(), note: await noteOf(source) });
    expect(found).toEqual({ findings: [expect.objectContaining({ message: expect.stringContaining('is taken') })] });
  });

  it('gives the proof ten times as long where it yields to checks', async () => {
    const source = folderWith(permit);
    const found = await policySetFrom(source, { compile: compileInWorker(() => 0.1), note: await noteOf(source) });
    expect(found).toMatchObject({ findings: [{ message: expect.stringContaining('no answer within 1 ms') }] });
  });
});

describe('policySetsToServe', () => {
  /** Names every set. */
  const lenient: Pick<ProvedNote, 'names'> = { names: async () => true };

  it('uses the note for the first set alone', async () => {
    const setFrom = policySetsToServe(lenient);
    expect(await setFrom(folderWith('permit ('))).toHaveProperty('findings');
    const first = must(await setFrom(folderWith(permit)));
    expect(first.lateProof).not.toBeNull();
    expect(await first.lateProof).toEqual({ warnings: [] });
    const again = must(await setFrom(folderWith(permit)));
    expect([again.hash, again.lateProof]).toEqual([first.hash, null]);
    expect(must(await setFrom(folderWith(neverMatching))).lateProof).toBeNull();
    expect(await setFrom(folderWith(ofNoType))).toHaveProperty('findings');
  });

  it('does not use the note where it may not', async () => {
    const set: PolicySet = must(await policySetsToServe(lenient)(folderWith(permit), { isNoteUsed: false }));
    expect(set.lateProof).toBeNull();
  });

  it('does not give a set again whose proof failed', async () => {
    const setFrom = policySetsToServe(lenient);
    const refuted = must(await setFrom(folderWith(ofNoType)));
    expect(await refuted.lateProof).toHaveProperty('findings');
    expect(await setFrom(folderWith(ofNoType))).toHaveProperty('findings');
    expect(must(await setFrom(folderWith(permit))).lateProof).toBeNull();
  });

  it('proves the next set after the proof of the first has ended', async () => {
    const setFrom = policySetsToServe(lenient);
    const many = Array.from({ length: 1500 }, (_, n) => ofRisk.replace('"s"', `"s${n}"`));
    const first = must(await setFrom(folderWith(many.join('\n'))));
    const order: string[] = [];
    void first.lateProof?.then(() => order.push('first'));
    await setFrom(folderWith(neverMatching)).then(() => order.push('second'));
    expect(order).toEqual(['first', 'second']);
  });
});
