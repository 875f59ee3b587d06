import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { SpiffeId } from '../../../src/core/identity/spiffe-id.ts';
import { SvidFileSource } from '../../../src/core/identity/svid-files.ts';
import { openSvidSource, svidSettingsFrom, type SvidFields } from '../../../src/core/identity/svid-settings.ts';
import { WorkloadApiSource } from '../../../src/core/identity/workload-api.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { HeldTimers } from './held-timers.ts';

const none: SvidFields = { workloadApi: null, id: null, hint: null, certificate: null, key: null, bundle: null };
const files = { certificate: '/svid.pem', key: '/svid.key', bundle: '/bundle.pem' };
const id = 'spiffe://acme.test/remit' as SpiffeId;

describe('svidSettingsFrom', () => {
  it.each([
    [{ workloadApi: 'unix:/agent.sock' }, { kind: 'workload-api', target: 'unix:/agent.sock', id: null, hint: null }],
    [
      { workloadApi: 'unix:/agent.sock', id, hint: 'internal' },
      { kind: 'workload-api', target: 'unix:/agent.sock', id, hint: 'internal' },
    ],
    [files, { kind: 'files', ...files }],
  ])('reads %j', (fields, settings) => {
    expect(svidSettingsFrom({ ...none, ...fields })).toEqual(settings);
  });

  const incomplete = 'must have `workloadApi`, or `certificate`, `key` and `bundle`';
  const both = 'must have either `workloadApi` or `certificate`, `key` and `bundle`, not both';
  const onlyThere = 'may have `id` and `hint` only with `workloadApi`';
  it.each([
    ['nothing', {}, incomplete],
    ['an id alone', { id }, incomplete],
    ['no key', { ...files, key: null }, incomplete],
    ['both', { ...files, workloadApi: 'unix:/agent.sock' }, both],
    ['parts of both', { bundle: '/bundle.pem', workloadApi: 'unix:/agent.sock' }, both],
    ['files with an id', { ...files, id }, onlyThere],
    ['files with a hint', { ...files, hint: 'internal' }, onlyThere],
  ])('refuses %s', (_what, fields, problem) => {
    expect(svidSettingsFrom({ ...none, ...fields })).toEqual({ problem });
  });
});

describe('openSvidSource', () => {
  it('opens the configured source', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'svid-settings-'));
    const { after } = new HeldTimers();
    const options = { ports: systemPorts, after };
    const at = (name: string): string => join(folder, name);
    const fromFiles = await openSvidSource(
      { kind: 'files', certificate: at('svid.pem'), key: at('svid.key'), bundle: at('bundle.pem') },
      options,
    );
    const fromAgent = await openSvidSource(
      { kind: 'workload-api', target: `unix:${at('agent.sock')}`, id: null, hint: null },
      options,
    );
    expect(fromFiles).toBeInstanceOf(SvidFileSource);
    expect(fromAgent).toBeInstanceOf(WorkloadApiSource);
    expect([fromFiles.current(), fromAgent.current()]).toEqual([null, null]);
    fromFiles.close();
    fromAgent.close();
    await rm(folder, { recursive: true });
  });
});
