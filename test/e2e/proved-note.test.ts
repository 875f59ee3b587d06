import { access, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { setHashOf } from '../../src/policy/loading/set-hash.ts';
import { readPolicySource } from '../../src/policy/loading/source.ts';
import { freePorts } from '../free-port.ts';
import { BundlePublisher } from './bundle-publisher.ts';
import { remit } from './process.ts';
import type { Running } from './process.ts';

const examples = resolve(import.meta.dirname, '../../cedar-policies');

/** Said of a set that is used before its proof has ended, and once that has ended. */
const PROVED_BEFORE = 'proved by an earlier start';
const GOES_ON = 'its proof goes on';
const ENDED = 'is proved again';
/** Valid, and warned of. */
const NEVER_MATCHING = '@id("never") permit (principal, action, resource) when { 1 == 2 };\n';
/** It parses, and its type is wrong. */
const OF_NO_TYPE = '@id("wrong") permit (principal, action, resource) when { context.risc == "low" };\n';

/** Policies for every action: to read them takes less time than to check their types, the more so the more terms each has. */
const many = (count: number, terms = 1): string => {
  const condition = Array.from({ length: terms }, () => 'context.risk == "low"').join(' || ');
  return Array.from(
    { length: count },
    (_, n) =>
      `@id("m${n}") permit (principal == Remit::Agent::"spiffe://acme.test/a${n}", action, resource) when { ${condition} };\n`,
  ).join('');
};

async function stop({ child, exit }: Running): Promise<void> {
  child.kill('SIGTERM');
  expect(await exit).toBe(0);
}

describe('remit serve with the policies of the last start', () => {
  let folder = '';
  let config = '';
  let port = 0;
  const running: Running[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-proved-'));
    [port = 0] = await freePorts(1);
    await cp(examples, join(folder, 'policies'), { recursive: true });
    config = await configured('policies');
  });
  afterEach(async () => {
    for (const { child, exit } of running.splice(0)) {
      child.kill('SIGKILL');
      await exit;
    }
    await rm(folder, { recursive: true, force: true });
  });

  const configured = async (policies: unknown): Promise<string> => {
    const file = join(folder, 'remit.yaml');
    const settings = {
      trustDomains: ['acme.test'],
      extAuthz: { listen: `unix:${folder}/check.sock` },
      admin: { listen: `127.0.0.1:${port}` },
      policies,
      state: 'sqlite:state.db',
    };
    await writeFile(file, stringify(settings));
    return file;
  };
  const serve = (): Running => {
    const started = remit(['serve', '--config', config]);
    running.push(started);
    return started;
  };
  /** Starts once, and ends when the set is in force and noted. */
  const startedBefore = async (): Promise<Running> => {
    const first = serve();
    await first.said('policies: ');
    await stop(first);
    return first;
  };
  const addPolicies = (text: string): Promise<void> => writeFile(join(folder, 'policies', 'added.cedar'), text);
  const noteFile = (): string => join(folder, 'ledger', 'policies', '.proved-policies');

  /** Starts once, then adds an invalid policy and names the set in the note. */
  const wrongNote = async (invalid = OF_NO_TYPE): Promise<{ readonly remit: string; readonly cedar: string }> => {
    await startedBefore();
    await addPolicies(invalid);
    const source = await readPolicySource(join(folder, 'policies'));
    if (!('catalog' in source)) throw new Error('the policies cannot be read');
    const note = JSON.parse(await readFile(noteFile(), 'utf8'));
    await writeFile(noteFile(), `${JSON.stringify({ ...note, proved: setHashOf(source) })}\n`);
    return note;
  };

  it('is ready before a large set is proved again, and tells its warnings afterwards', async () => {
    await addPolicies(`${NEVER_MATCHING}${many(3000)}`);
    const first = await startedBefore();
    expect(first.err()).not.toContain(PROVED_BEFORE);
    expect(first.err()).toContain('warning: ');

    const second = serve();
    await second.said(ENDED);
    await second.said('policies-warning');
    const lines = second.err().split('\n');
    const at = (text: string): number => lines.findIndex((line) => line.includes(text));
    expect(at(GOES_ON)).toBeGreaterThan(-1);
    expect(at(' ready ready')).toBeGreaterThan(-1);
    expect(at(' ready ready')).toBeLessThan(at(ENDED));
    expect(at(ENDED)).toBeLessThan(at('policies-warning'));
    expect(lines.filter((line) => line.includes('policies-warning'))).toHaveLength(1);
    await stop(second);
  });

  it('ends without waiting for the proof', async () => {
    await addPolicies(many(6000));
    await startedBefore();
    const second = serve();
    await second.said(GOES_ON);
    await stop(second);
    expect(second.err()).not.toContain(ENDED);
  });

  it('withdraws a set that a wrong note names, until the policies are correct', async () => {
    const note = await wrongNote();

    const second = serve();
    await second.said('is withdrawn and everything is denied');
    await second.said('not ready: policies: the policy set was withdrawn, since its proof failed');
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(503);
    const told = second
      .err()
      .split('\n')
      .filter((line) => line.includes('is withdrawn'));
    expect(told).toEqual([expect.stringContaining(`the note \`${noteFile()}\` says that it was proved`)]);
    expect(told).toEqual([expect.stringMatching(/policies\/added\.cedar:1:\d+: .*risc/)]);
    await expect(access(noteFile())).rejects.toThrow('ENOENT');
    // It is proved again by itself, from the start: a proof that only came too late is made up for.
    await second.said(/policies-refused \S+added\.cedar:1:\d+: /);

    await addPolicies(NEVER_MATCHING);
    await second.said(/not ready: [\s\S]* ready ready/);
    await stop(second);
    expect(JSON.parse(await readFile(noteFile(), 'utf8'))).toMatchObject({ remit: note.remit, cedar: note.cedar });
  });

  it('proves a withdrawn set again at once, without a look at the folder, and uses it where that succeeds', async () => {
    await configured({ folder: 'policies', lookSeconds: 3600 });
    // The proof takes longer than the file takes to be corrected.
    await wrongNote(`${OF_NO_TYPE}${many(1000, 100)}`);
    const second = serve();
    await second.said(GOES_ON);
    await addPolicies(NEVER_MATCHING);
    await second.said(/is withdrawn and everything is denied: [\s\S]* policies-loaded policies: \d+, /);
    await stop(second);
    await access(noteFile());
  });

  it('proves a set first that has changed, and notes it', async () => {
    await startedBefore();
    await addPolicies(NEVER_MATCHING);
    expect((await startedBefore()).err()).not.toContain(PROVED_BEFORE);
    expect((await startedBefore()).err()).toContain(PROVED_BEFORE);
  });

  it('uses the note for signed bundles and for a candidate too', async () => {
    const publisher = await BundlePublisher.create(folder);
    await publisher.publish(1);
    const bundle = { from: join(folder, 'bundle.jws'), name: 'prod', keys: 'bundle-keys.json' };
    await configured({ bundle, candidate: 'policies' });
    expect((await startedBefore()).err()).not.toContain(PROVED_BEFORE);
    expect((await startedBefore()).err()).toContain(PROVED_BEFORE);
    await access(join(folder, 'ledger', 'policies', '.proved-candidate'));
    // Another bundle, of the same content: it is proved before it is kept.
    await publisher.publish(2);
    expect((await startedBefore()).err()).not.toContain(PROVED_BEFORE);
  });

  it('is not used by `--check`', async () => {
    await wrongNote();
    const checked = remit(['serve', '--check', '--config', config]);
    expect(await checked.exit).toBe(2);
    expect(checked.err()).toMatch(/added\.cedar:1:\d+: .*risc/);
    await access(noteFile());
  });
});
