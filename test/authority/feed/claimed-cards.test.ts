import { describe, expect, it } from '@jest/globals';
import { FeedHub } from '../../../src/authority/feed/hub/feed-hub.ts';
import type { AuthorityEngine } from '../../../src/authority/feed/engine.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { byOperator } from '../../builders/task.ts';
import { until } from '../../until.ts';
import { hello, RawClient } from './raw-client.ts';
import { digestOf, keyOf, serving } from './serving.ts';

const folder = testFolders();

const hubOf = () =>
  new FeedHub({
    epoch: 'e',
    position: 0,
    leaseMs: 5_000,
    marginMs: 250,
    maxHeld: 10,
    maxHeldInAll: 10,
    inheritedUntilMs: 0,
  });
const claim = { key: keyOf(1), jti_digests: [digestOf(1)], state: 'active', generation: 1, history_version: 0 };

describe('a task that a sidecar claims to hold', () => {
  it('is not held before its card was read, and never if there is none for this sidecar', () => {
    const hub = hubOf();
    hub.connect('one', { resume: null, held: [claim] }, 0);
    expect(hub.holds('one', keyOf(1))).toBe('unread');
    const read = hub.due().get('one') ?? [];
    expect(read).toHaveLength(1);
    hub.send('one', read, { cards: [null], head: 0 });
    expect(hub.holds('one', keyOf(1))).toBe(false);
  });

  it('is not held by an open whose card was not read', () => {
    const hub = hubOf();
    hub.connect('one', { resume: null, held: [] }, 0);
    const token = { key: keyOf(1), jti_digest: digestOf(1) };
    expect(hub.noting('one', [token], 1)).toBe('ok');
    expect(hub.holds('one', keyOf(1))).toBe('unread');
    expect(hub.noted('one', [{ token, root: keyOf(1).id }], { n: 1, seq: 0 })).toBe('ok');
    expect(hub.holds('one', keyOf(1))).toBe(true);
  });
});

describe('a sidecar that connects again with a task, while its card is not read yet', () => {
  const closers = closedAfterEach();

  it('is told of the end of the task, though it opened a token of it meanwhile that is not there for it', async () => {
    const { promise: mayRead, resolve: read } = Promise.withResolvers<void>();
    // The card that the Hello claims is read late, as if there were thousands before it.
    const around = (engine: AuthorityEngine): AuthorityEngine => ({
      ...engine,
      cards: async (wanted) => {
        if (wanted.some(({ jtiDigests }) => jtiDigests.includes(digestOf(1)))) await mayRead;
        return engine.cards(wanted);
      },
    });
    const authority = await serving(folder(), { around });
    closers.push(() => authority.close());
    await authority.declared(1);
    const client = new RawClient(authority.targets[0] ?? '');
    closers.push(() => client.close());
    const sidecar = client.follow();
    sidecar.send(hello('instance-1', { held: [claim] }));
    await until(() => sidecar.downs.some(({ of }) => of === 'welcome'), { what: 'the welcome' });
    const tokens = [{ key: keyOf(1), jti_digest: 'of-another-audience' }];
    expect(await client.call('Open', { instance: 'instance-1', tokens, n: 1 })).toMatchObject({
      opened: [{ card: null }],
    });
    read();
    await authority.state.authority.applyTaskEvent(keyOf(1), byOperator('cancel'), 'operator');
    const states = (): readonly string[] =>
      sidecar.downs.flatMap((down) => (down.of === 'changes' ? down.changes.cards.map((card) => card.task.state) : []));
    await until(() => states().includes('cancelled'), { what: 'the end of the task at the sidecar' });
  });
});
