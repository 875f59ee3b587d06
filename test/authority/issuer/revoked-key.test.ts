import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { deny } from '../../../src/core/decision/decision.ts';
import type { TokenKeys } from '../../../src/authority/issuer/keys/signing-keys.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { startBench } from './bench.ts';
import type { Bench } from './bench.ts';

const folder = testFolders();

/** An issuer whose keys can be revoked: at any time, or while a request waits for the state of its token. */
async function revocable(): Promise<{
  readonly bench: Bench;
  readonly revoke: (when: 'now' | 'while it waits') => void;
  readonly lag: () => void;
  readonly close: () => Promise<void>;
}> {
  const at = folder();
  const store = mustOpen(join(at, 'state.db'), { nowMs: systemPorts.nowMs });
  const { authority } = directAuthority(store);
  const first = await startBench(folder());
  const keys = first.services.signingKeys;
  let [isRevoked, isPending, isBehind] = [false, false, false];
  const signingKeys: TokenKeys = {
    problem: () => null,
    current: () => keys.current(),
    jwks: () => keys.jwks(),
    maxAgeSeconds: 5,
    verificationKey: (keyId, algorithm) => {
      if (isBehind) return deny('token.keys-unavailable', 'this authority does not know which keys are revoked');
      return isRevoked ? deny('token.signature', 'the key is revoked') : keys.verificationKey(keyId, algorithm);
    },
  };
  const bench = await startBench(at, {
    store,
    signingKeys,
    authority: {
      ...authority,
      useStateOf: async (...of) => {
        const state = await authority.useStateOf(...of);
        isRevoked ||= isPending;
        return state;
      },
    },
  });
  return {
    bench,
    revoke: (when) => void (when === 'now' ? (isRevoked = true) : (isPending = true)),
    lag: () => (isBehind = true),
    close: async () => {
      await bench.close();
      await first.close();
    },
  };
}

describe('a token of a revoked key', () => {
  it.each(['introspect', 'exchange'] as const)('gets nothing by %s, also if the request was waiting', async (what) => {
    const { bench, revoke, close } = await revocable();
    const token = String((await bench.token()).json['access_token']);
    const ask = () => (what === 'introspect' ? bench.form('/oauth/introspect', { token }) : bench.exchange(token));
    expect((await ask()).status).toBe(200);
    revoke('while it waits');
    const late = await ask();
    expect([late.status, late.json]).toEqual([
      503,
      { error: 'temporarily_unavailable', error_description: 'keys were revoked meanwhile' },
    ]);
    revoke('now');
    const after = await ask();
    expect(after.json).not.toHaveProperty('access_token');
    expect(after.json).toMatchObject(what === 'introspect' ? { active: false } : { error: 'invalid_request' });
    await close();
  });

  it.each(['/oauth/introspect', '/oauth/revoke'])(
    'is asked for again at %s if the authority does not know which keys are revoked',
    async (path) => {
      const { bench, lag, close } = await revocable();
      const token = String((await bench.token()).json['access_token']);
      lag();
      expect((await bench.form(path, { token })).status).toBe(503);
      await close();
    },
  );

  it('the key set may be cached no longer than its keys allow', async () => {
    const { bench, close } = await revocable();
    const { headers } = await bench.ask('/.well-known/jwks.json');
    expect(headers['cache-control']).toBe('public, max-age=5');
    await close();
  });
});
