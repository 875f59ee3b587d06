import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { setHashOf } from '../../src/core/policy/loading/set-hash.ts';
import { provedSetFrom } from '../../src/core/policy/loading/proved-set.ts';
import { readPolicySource } from '../../src/core/policy/loading/source.ts';
import { checkClient } from '../sidecar/envoy/client.ts';
import { must } from '../builders/must.ts';
import { testFolders } from '../builders/test-folders.ts';
import { killedAfterEach } from './killed.ts';
import { soundSettings } from './sound-settings.ts';
import { freePorts } from '../free-port.ts';
import { remit } from './process.ts';
import type { Running } from './process.ts';

const built = resolve(import.meta.dirname, '../../dist/version.txt');
const installed = resolve(import.meta.dirname, '../../node_modules/@cedar-policy/cedar-wasm/package.json');

/** It parses, and its type is wrong. */
const OF_NO_TYPE = '@id("wrong") permit (principal, action, resource) when { context.risc == "low" };\n';

/** Policies for every action, whose types take far longer to check than they take to be read. */
const MANY = Array.from(
  { length: 200 },
  (_, n) =>
    `@id("m${n}") permit (principal, action, resource) when { ${Array.from({ length: 30 }, () => 'context.risk == "low"').join(' || ')} };\n`,
).join('');

/** So much later than it is ready a loaded process may write that it has loaded its policies. Their proof takes seconds. */
const SAID_LATE_MS = 500;

/** A proof without findings of policies that it did not read. */
const unproved = async () => ({ policies: [], templates: [], findings: [], warnings: [] });

describe('remit serve before the proof of its policies has ended', () => {
  const folders = testFolders();
  let folder = '';
  let port = 0;
  const killed = killedAfterEach();
  beforeEach(async () => {
    folder = folders();
    [port = 0] = await freePorts(1);
    await writeFile(join(folder, 'remit.yaml'), stringify(await soundSettings(folder, { adminPort: port })));
  });

  const serve = (): Running => killed(remit(['serve', '--config', join(folder, 'remit.yaml')]));

  /**
   * Asks `/readyz` and for a check again and again until the process has ended or said a text. Returns what was answered
   * before the time of the log's line with the text. Times are compared, since an answer may overtake the line in its pipe.
   */
  const answersBefore = async (started: Running, text: string): Promise<readonly string[]> => {
    const seen: { readonly what: string; readonly atMs: number }[] = [];
    const { check, close } = checkClient(`unix:${folder}/check.sock`);
    while (started.child.exitCode === null && !started.err().includes(text)) {
      const ready = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
      if (ready?.status === 200) seen.push({ what: 'ready', atMs: Date.now() });
      const answered = await check(Buffer.alloc(0), { timeoutMs: 1_000 }).catch(() => null);
      if (answered !== null) seen.push({ what: 'a check', atMs: Date.now() });
      await setTimeout(20);
    }
    close();
    const line =
      started
        .err()
        .split('\n')
        .find((said) => said.includes(text)) ?? '';
    const saidMs = Date.parse(line.split(' ', 1)[0] ?? '');
    return seen.filter(({ atMs }) => !(atMs >= saidMs - SAID_LATE_MS)).map(({ what }) => what);
  };

  /** What an earlier version kept of the set that it had proved last, here of one that nobody has proved. */
  const writeFormerNote = async (): Promise<void> => {
    const source = await readPolicySource(join(folder, 'policies'));
    if (!('catalogs' in source)) throw new Error('the policies cannot be read');
    const set = must(await provedSetFrom(source, unproved));
    const { default: cedar } = await import(installed, { with: { type: 'json' } });
    const note = {
      proved: setHashOf(source),
      schema: `sha-256:${createHash('sha256').update(set.schema).digest('base64url')}`,
      remit: (await readFile(built, 'utf8')).trim(),
      cedar: cedar.version,
      node: process.versions.node,
    };
    await mkdir(join(folder, 'ledger', 'policies'), { recursive: true, mode: 0o700 });
    await writeFile(join(folder, 'ledger', 'policies', '.proved-policies'), `${JSON.stringify(note)}\n`, {
      mode: 0o600,
    });
  };

  it('is not ready and answers no check, until the log says that the set is loaded', async () => {
    await writeFile(join(folder, 'policies', 'added.cedar'), MANY);
    const started = serve();
    expect(await answersBefore(started, 'policies-loaded')).toEqual([]);
    await started.said(' ready ready');
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  });

  it('trusts no note of an earlier start, and ends with 2 if the proof finds anything', async () => {
    await writeFile(join(folder, 'policies', 'added.cedar'), `${OF_NO_TYPE}${MANY}`);
    await writeFormerNote();
    const started = serve();
    expect(await answersBefore(started, 'added.cedar:1:')).toEqual([]);
    expect(await started.exit).toBe(2);
    expect(started.err()).toMatch(/added\.cedar:1:\d+: .*risc/);
  });
});
