import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { signedBundle } from '../../../src/core/policy/bundle/bundle.ts';
import { readPolicySource } from '../../../src/core/policy/loading/source.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { startRemit } from '../../../src/serve/remit.ts';
import { isStartProblem } from '../../../src/serve/start-problem.ts';
import { mustConfig } from '../../builders/config.ts';
import { keyPair } from '../../core/policy/bundle/key-pair.ts';
import { until } from '../../until.ts';

const folder = mkdtempSync(join(tmpdir(), 'late-key-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('openPolicies', () => {
  it('reads the keys again while it waits for a bundle that none of them has signed', async () => {
    cpSync('cedar-policies', join(folder, 'policies'), { recursive: true });
    const source = await readPolicySource(join(folder, 'policies'));
    if (!('policies' in source)) throw new Error('the policies cannot be read');
    const [former, signer] = [await keyPair(), await keyPair()];
    const keysFile = join(folder, 'keys.json');
    const trust = ({ key }: typeof signer): void => writeFileSync(keysFile, JSON.stringify({ keys: [key.jwk] }));
    const nowMs = Date.now();
    const about = { name: 'prod', version: 'v1', serial: 1, issuedAtMs: nowMs, expiresAtMs: nowMs + 3_600_000 };
    writeFileSync(join(folder, 'b.jws'), await signedBundle(source, about, signer.key));
    trust(former);
    const settings = {
      trustDomains: ['acme.test'],
      extAuthz: { listen: `unix:${join(folder, 'check.sock')}` },
      admin: { listen: '127.0.0.1:0' },
      policies: { bundle: { from: 'b.jws', name: 'prod', keys: 'keys.json' } },
      state: 'sqlite:state.db',
    };
    const lines: string[] = [];
    const stop = new AbortController();
    const starting = startRemit(mustConfig(stringify(settings), { folder }), {
      ports: systemPorts,
      environment: {},
      log: (line) => void lines.push(line),
      stop: stop.signal,
      onFatal: (error) => {
        throw new Error(error);
      },
    });
    try {
      await until(() => lines.some((line) => line.startsWith('waiting: ')));
      trust(signer);
      await until(() => lines.some((line) => line.startsWith('policies: ')), { withinMs: 20_000 });
    } finally {
      stop.abort();
      const started = await starting;
      if (!isStartProblem(started)) await started.close();
    }
    expect(lines).toContainEqual(expect.stringContaining('keys of the policy bundle: read again from'));
  });
});
