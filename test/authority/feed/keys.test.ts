import { expect, it } from '@jest/globals';
import type { ServingAuthority } from '../../../src/authority/feed/start-authority.ts';
import { ReplicaKeys } from '../../../src/authority/issuer/keys/replica-keys.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { KEYS_ROOT } from '../../../src/core/state/shared-keys.ts';
import { KeyRing } from '../../../src/core/token/jose/keys.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { keyRevocation } from '../../builders/key-revocation.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { issuer } from '../../builders/task.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { mustOpenState } from '../../postgres/opening.ts';
import { startedPlaces } from '../../postgres/places.ts';
import { until } from '../../until.ts';
import { servingPostgres } from './serving.ts';
import { openSidecar } from '../../builders/sidecar-state.ts';

const folder = testFolders();
const LEASE_MS = 2_000;
const closers = closedAfterEach();

/** A sidecar, with the keys by which it verifies tokens. */
async function sidecar(targets: readonly string[]) {
  const keys = new KeyRing([], { ports: systemPorts, after, onProblem: () => undefined });
  const state = openSidecar(targets, { onKeys: (of, jwks) => void keys.announce(of, jwks) });
  closers.push(() => state.close());
  await until(() => state.problem() === null, { what: 'a lease' });
  return { state, holds: (keyId: string) => keys.isHeld(issuer, keyId) };
}

describeWith(postgresPart(), 'keys of authorities on one PostgreSQL', (binaries) => {
  const places = startedPlaces(binaries, folder());

  /** One more authority, which signs 300 ms after its start. */
  async function authority(url: string) {
    const state = await mustOpenState(url);
    closers.push(() => state.close());
    const held: { serving: ServingAuthority | null } = { serving: null };
    const keys = await ReplicaKeys.open({
      store: state.keys,
      ports: systemPorts,
      after,
      waitMs: 300,
      isCurrent: () => held.serving?.isCurrent() ?? false,
      onProblem: () => undefined,
      onPublished: () => undefined,
    });
    closers.push(() => keys.close());
    const given = { jwks: () => keys.jwks(), readKeys: (position: number) => keys.readTo(position) };
    const serving = must(await servingPostgres(state, { folder: folder(), leaseMs: LEASE_MS, ...given }));
    closers.push(() => serving.close());
    held.serving = serving;
    await until(() => keys.problem() === null && serving.isCurrent(), { what: 'an authority that signs' });
    return { state, keys, serving, keyId: keys.current().keyId };
  }
  type Authority = Awaited<ReturnType<typeof authority>>;

  /** Waits until leases that an authority may have given before its start are over, which every end waits for too. */
  const settledIn = async ({ serving }: Authority): Promise<void> => {
    await until(async () => must(await serving.enforced(['none'])).enforced, { what: 'leases from before the start' });
  };

  /** Revokes a key as a command does, and waits for the receipt of an authority. */
  async function revoked({ state, serving }: Authority, keyId: string) {
    expect(await state.keys.revoke(keyId, keyRevocation(keyId))).toBe(true);
    return must(await serving.enforced([KEYS_ROOT]));
  }

  it('reach every sidecar before they sign', async () => {
    const url = await places.next();
    const one = await authority(url);
    const held = await sidecar(one.serving.targets);
    const two = await authority(url);
    await until(() => held.holds(two.keyId), { what: 'the key of the other authority' });
    expect(held.holds(one.keyId)).toBe(true);
    const late = await sidecar(two.serving.targets);
    expect([late.holds(one.keyId), late.holds(two.keyId)]).toEqual([true, true]);
  });

  it('from the receipt of a revocation no sidecar and no authority verifies by that key', async () => {
    const url = await places.next();
    const [one, two] = [await authority(url), await authority(url)];
    const sidecars = [await sidecar(one.serving.targets), await sidecar(two.serving.targets)];
    await settledIn(one);
    await settledIn(two);
    await until(() => sidecars.every(({ holds }) => holds(two.keyId)), { what: 'the key at both sidecars' });
    const receipt = await revoked(one, two.keyId);
    expect(sidecars.map(({ holds }) => holds(two.keyId))).toEqual([false, false]);
    for (const { keys } of [one, two]) {
      expect(keys.verificationKey(two.keyId, 'ES256')).toMatchObject({ reason: 'token.signature' });
    }
    expect(receipt).toEqual({ enforced: true, holders: 2, acknowledged: 2, fenced: 0 });
    expect(sidecars.map(({ holds }) => holds(one.keyId))).toEqual([true, true]);
    // The other one has made itself a new key.
    await until(() => two.keys.problem() === null, { what: 'a new key' });
    expect(sidecars.map(({ holds }) => holds(two.keys.current().keyId))).toEqual([true, true]);
  });

  it('the receipt counts sidecars of an authority that is gone as fenced, or waits until their lease is over', async () => {
    const url = await places.next();
    const [one, two] = [await authority(url), await authority(url)];
    const cut = await sidecar(two.serving.targets);
    await settledIn(one);
    await two.serving.close();
    await two.keys.close();
    await two.state.close();
    expect(await revoked(one, one.keyId)).toMatchObject({ enforced: true });
    expect(cut.state.problem()).not.toBeNull();
    // It has no beat any more, and verifies nothing.
    expect(two.serving.isCurrent()).toBe(false);
    expect(two.keys.verificationKey(one.keyId, 'ES256')).toMatchObject({ reason: 'token.keys-unavailable' });
  });

  it('an authority without sidecars does not hold up a receipt', async () => {
    const url = await places.next();
    const [one, two] = [await authority(url), await authority(url)];
    await sidecar(one.serving.targets);
    await settledIn(one);
    await settledIn(two);
    expect(await revoked(one, two.keyId)).toMatchObject({ enforced: true, holders: 1, acknowledged: 1 });
    expect(two.keys.verificationKey(two.keyId, 'ES256')).toMatchObject({ reason: 'token.signature' });
  });

  it('all keys may be revoked', async () => {
    const one = await authority(await places.next());
    const held = await sidecar(one.serving.targets);
    await settledIn(one);
    expect(await revoked(one, one.keyId)).toMatchObject({ enforced: true, acknowledged: 1 });
    expect(held.holds(one.keyId)).toBe(false);
  });
});
