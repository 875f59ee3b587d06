import { describe, expect, it } from '@jest/globals';
import { heldTaskOf, cardOf } from '../../src/core/fleet/card.ts';
import { versionGap } from '../../src/core/fleet/version-gap.ts';
import { bundleDigestOf } from '../../src/core/policy/bundle/bundle-feed.ts';
import { noHistory } from '../../src/core/task/history.ts';
import { endOf, hello, RawClient, welcomed } from '../authority/feed/raw-client.ts';
import { digestOf, keyOf, serving } from '../authority/feed/serving.ts';
import { closedAfterEach } from '../builders/with-closers.ts';
import { must } from '../builders/must.ts';
import { testFolders } from '../builders/test-folders.ts';
import { isExhausted, byOperator, taskNumber, tokenNumber } from '../builders/task.ts';
import { until } from '../until.ts';
import { replaced, versionProxy } from './version-proxy.ts';
import type { OtherVersion } from './version-proxy.ts';
import { openSidecar } from '../builders/sidecar-state.ts';

const folder = testFolders();
const closers = closedAfterEach();

/** Without what the last minor version added. */
const older: OtherVersion = {
  proto: (text) =>
    replaced(text, [
      ['  rpc Bundle(BundleRequest) returns (stream BundlePart);\n', ''],
      ['  rpc GiveBack(GiveBackRequest) returns (GiveBackReply);\n', ''],
      ['  repeated TokenUses uses = 5;\n', ''],
      ['    Policy policy = 5;\n', ''],
      ['  AllowedUses allowed = 6;\n', ''],
      ['  bool orders = 7;\n', ''],
      ['  bool orders = 8;\n', ''],
      ['    Orders orders = 9;\n', ''],
      ['  repeated uint64 left = 8;\n', ''],
      ['  string orders_digest = 8;\n', ''],
      ['  string unchanged = 6;\n', ''],
    ]),
  message: (message) => message,
  between: null,
};

type Value = unknown;
/** Every message has a field more. */
const withMore = (value: Value): Value => {
  if (Array.isArray(value)) return value.map(withMore);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  const members = Object.entries(value).map(([name, member]): [string, Value] => [name, withMore(member)]);
  return { ...Object.fromEntries(members), more: 'of a later version' };
};

/** With a field more in each message, and with another kind of message on each stream. */
const newer: OtherVersion = {
  proto: (text) =>
    `${replaced(text, [
      ['    Report report = 5;\n', '    Report report = 5;\n    Later later = 900;\n'],
      ['    Reported reported = 8;\n', '    Reported reported = 8;\n    Later later = 900;\n'],
    ]).replaceAll(/^message (\w+) \{\n/gm, 'message $1 {\n  string more = 901;\n')}
message Later {
  string what = 1;
}
`,
  message: (message) => withMore(message) as typeof message,
  between: { of: 'later', later: { what: 'nobody knows' } },
};

const bounds = { traces: [7], places: { address: 'a', certificate: 'c', connections: [], servers: ['s'], risks: [] } };

describe.each<[string, OtherVersion, { readonly isOlder: boolean }]>([
  ['older', older, { isOlder: true }],
  ['newer', newer, { isOlder: false }],
])('a sidecar and an authority, one of them a minor version %s', (_name, version, { isOlder }) => {
  it('open, settle, report and end tasks, and keep their stream', async () => {
    const bundle = { serial: 1, digest: bundleDigestOf('signed'), text: 'signed' };
    const authority = await serving(folder(), { bundle: () => bundle });
    closers.push(() => authority.close());
    const proxy = await versionProxy(folder(), authority.targets[0] ?? '', version);
    closers.push(proxy.close);
    const problems: unknown[] = [];
    const keys: unknown[] = [];
    const state = openSidecar([proxy.target], {
      onKeys: (...of) => keys.push(of),
      onProblem: (problem) => problems.push(problem),
    });
    closers.push(() => state.close());
    await until(() => state.problem() === null, { what: 'a lease' });
    const task = await authority.declared(1, { idleMs: 60_000 });
    const looked = async () => {
      await state.states.open(keyOf(1), digestOf(1));
      return state.states.of(keyOf(1), digestOf(1));
    };
    await until(async () => 'task' in ((await looked()) ?? {}), { what: 'a card' });
    const use = { decisionId: '0198c0de-0000-7000-8000-000000000001', key: keyOf(1), jtiDigest: digestOf(1) };
    const spends = [{ kind: 'calls' as const, limit: 1 }];
    await until(async () => (await state.settling.settle({ ...use, spends })) === null, { what: 'a use that counts' });
    const again = { ...use, decisionId: '0198c0de-0000-7000-8000-000000000002', spends };
    await until(async () => isExhausted(await state.settling.settle(again)), { what: 'a use too many' });
    // What an authority of an earlier version has settled stays taken.
    const given = state.settling.giveBack({ ...use, spends });
    expect(isOlder || (await given)).toBe(true);
    expect(must(await state.reports.touchTasks(new Map([[task.id, Date.now()]])))).toBeNull();
    const soFar = { uses: 2, last: null, allowed: bounds };
    expect(await state.reports.writeUses([{ jtiDigest: digestOf(1), ...soFar }])).toBeNull();
    expect(authority.state.reader.reportedUses(digestOf(1))).toHaveLength(isOlder ? 0 : 1);
    expect(await state.bundle.fetch('')).toEqual(
      isOlder
        ? { problem: 'could not be fetched: the authority names none: it is of an earlier version' }
        : { kind: 'bundle', text: 'signed', etag: bundle.digest },
    );
    await authority.state.authority.applyTaskEvent(task, byOperator('complete'), 'operator');
    // On a loaded machine its stream may be a new one, that holds nothing yet.
    expect(must(await authority.enforced([task.id]))).toMatchObject({ enforced: true });
    expect(state.states.of(keyOf(1), digestOf(1))).not.toMatchObject({ task: { state: 'active' } });
    await until(async () => 'task' in ((await looked()) ?? {}), { what: 'a lease' });
    expect(await looked()).toMatchObject({ task: { state: 'completed' } });
    expect(keys.length).toBeGreaterThan(0);
    expect(problems.filter((problem) => String(problem).includes('gap'))).toEqual([]);
  });
});

describe('values of a later version', () => {
  it('have the meaning of the most restrictive value that is known', () => {
    const token = { ...tokenNumber(1), revokedAtMs: null, elsewhere: null };
    const task = taskNumber(1);
    const card = cardOf({ task, root: task.id, tokens: new Map([[token.jtiDigest, token]]), history: noHistory });
    const later = { ...card, task: { ...card.task, state: 'frozen', risk: 'extreme', cause: 'law.hold' } };
    expect(heldTaskOf(later).task).toMatchObject({ state: 'suspended', risk: 'high' });
  });
});

describe('versionGap', () => {
  it.each([
    ['0.2.0', '0.2.7+84bff23a9c01', true],
    ['0.2.0', '0.3.0', true],
    ['0.2.0', '0.1.9', true],
    ['0.2.0', 'unknown', true],
    ['unknown', '0.9.0', true],
    ['0.2.0', '0.4.0', false],
    ['0.3.1', '0.1.0', false],
    ['1.2.0', '0.2.0', false],
    ['0.9.0', '0.10.0', true],
  ])('of an authority %s and a sidecar %s: %p', (own, sidecar, works) => {
    expect(versionGap(own, sidecar) === null).toBe(works);
  });

  it('refuses the stream of a sidecar that is two minor versions away, and says why', async () => {
    const authority = await serving(folder());
    closers.push(() => authority.close());
    const client = new RawClient(authority.targets[0] ?? '');
    closers.push(() => client.close());
    const refused = client.follow();
    let said = '';
    refused.stream.on('status', ({ details }) => (said = details));
    refused.send(hello('instance-1', { version: '0.4.0' }));
    expect(await endOf(refused)).toBe('FAILED_PRECONDITION');
    expect(said).toBe(
      'the authority has version 0.2.0 and the sidecar 0.4.0: at most one minor version may lie between them',
    );
    const next = client.follow();
    next.send(hello('instance-1', { version: '0.3.0' }));
    await welcomed(next);
  });
});
